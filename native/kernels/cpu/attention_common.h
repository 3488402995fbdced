// Of the units of attention, each of which includes this within its own unnamed namespace.

// How many keys query m sees: the first ones.
int64_t seen_by(const CpuAttention* h, int64_t m) { return h->is_causal ? h->keys - h->queries + m + 1 : h->keys; }

// Of a row whose largest score is `largest`, and the sum of exp(score - largest).
void set_log_sum(const CpuAttention* h, int64_t m, float largest, float sum) {
  if (h->log_sums != nullptr) h->log_sums[m] = largest + __builtin_logf(sum);
}

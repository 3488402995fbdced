// Of the units of attention, each of which includes this within its own unnamed namespace.

// How many keys query m sees: the first ones.
int64_t seen_by(const CpuAttention* h, int64_t m) { return h->is_causal ? h->keys - h->queries + m + 1 : h->keys; }

// Of scores whose largest is `shift` in powers of two, and the sum of what they are beside it.
void set_log_sum(const CpuAttention* h, int64_t m, float shift, float sum) {
  if (h->log_sums != nullptr) h->log_sums[m] = shift * 0.693147182F + __builtin_logf(sum);
}

// Of the units of attention, each of which includes this within its own unnamed namespace.

// How many keys query m sees: the first ones.
int64_t seen_by(const CpuAttention* h, int64_t m) { return h->is_causal ? h->keys - h->queries + m + 1 : h->keys; }

// Attention of a head over all of its keys, as the vision tower has it, or up to a query's own, as a prompt has it, on x86:
// plain C, torch-free, a unit a level.
//
// score[m, n] = scale * sum over d of q[m, d] k[n, d]; p = exp(score - the row's largest); out[m, :] = rounded(sum over n of
// rounded(p[m, n]) v[n, :] / sum over n of p[m, n]). Products and sums in fp32, both roundings to bf16, as libtorch's own
// kernel for bf16 has them. Of finite values a row's bits
// depend on nothing but that row and the keys and values that it sees (its neighbours' later values count as 0 times themselves).
#pragma once

#include <cstdint>

#include "kernels/cpu/cpu_kernels.h"

namespace facellm {

// Of one head. Rows of head_dim numbers, a multiple of 32; strides between rows in elements.
struct CpuAttention {
  const Bf16 *q, *k, *v;
  int64_t q_stride, k_stride, v_stride;
  int64_t queries, keys, head_dim;
  bool is_causal;  // query m sees the first keys - queries + m + 1 keys; else all
  float scale;
  Bf16* out;
  int64_t out_stride;
  float* log_sums = nullptr;  // [queries], or null: the logarithms of the sums of exp(score), which gradients start from
};

struct AttentionKernels {
  const char* name;
  // Keys and values in the order in which attend() reads them: so many bytes, on a cache line.
  int64_t (*packed_bytes)(int64_t keys, int64_t head_dim);
  void (*pack)(void* packed, const CpuAttention* head);
  // What attend() needs besides, on a cache line, of each thread its own.
  int64_t (*work_bytes)(int64_t keys, int64_t head_dim);
  // Rows [begin, end) of `out`.
  void (*attend)(const CpuAttention* head, const void* packed, void* work, int64_t begin, int64_t end);
};

extern const AttentionKernels kScalarAttention;  // the reference
#if defined(__x86_64__)
extern const AttentionKernels kAvx2Attention;
extern const AttentionKernels kAvx512Attention;  // with BF16
#endif

}  // namespace facellm

// The reference of attention_kernels.h, number by number.
#include "kernels/cpu/attention_kernels.h"

namespace facellm {
namespace {

#include "kernels/cpu/attention_common.h"
#include "kernels/cpu/bf16_bits.h"

int64_t packed_bytes(int64_t, int64_t) { return 0; }
void pack(void*, const CpuAttention*) {}
int64_t work_bytes(int64_t keys, int64_t) { return keys * 4; }

void attend(const CpuAttention* h, const void*, void* work, int64_t begin, int64_t end) {
  auto* const p = static_cast<float*>(work);
  for (int64_t m = begin; m < end; ++m) {
    const int64_t keys = seen_by(h, m);
    float largest = -__builtin_inff(), sum = 0;
    for (int64_t n = 0; n < keys; ++n) {
      float score = 0;
      for (int64_t d = 0; d < h->head_dim; ++d) {
        score = __builtin_fmaf(widened_bf16(h->q[m * h->q_stride + d]), widened_bf16(h->k[n * h->k_stride + d]), score);
      }
      p[n] = score * h->scale;
      if (p[n] > largest) largest = p[n];
    }
    for (int64_t n = 0; n < keys; ++n) sum += p[n] = __builtin_expf(p[n] - largest);
    set_log_sum(h, m, largest, sum);
    for (int64_t d = 0; d < h->head_dim; ++d) {
      float value = 0;
      for (int64_t n = 0; n < keys; ++n) {
        value = __builtin_fmaf(widened_bf16(rounded_bf16(p[n])), widened_bf16(h->v[n * h->v_stride + d]), value);
      }
      h->out[m * h->out_stride + d] = rounded_bf16(value / sum);
    }
  }
}

}  // namespace

const AttentionKernels kScalarAttention{"scalar", packed_bytes, pack, work_bytes, attend};

}  // namespace facellm

// The reference: what each unit does, in the order in which it does it. AVX2's sums are these, bit for bit.
#include "kernels/cpu/cpu_kernels.h"

namespace facellm {
namespace {

#include "kernels/cpu/bf16_bits.h"

int64_t place(int64_t inner, int64_t row, int64_t k) {
  return ((row / kBlockRows * (inner / 2) + k / 2) * kBlockRows + row % kBlockRows) * 2 + k % 2;
}

void pack(Bf16* packed, const Bf16* rows, int64_t stride, int64_t weight_rows, int64_t inner, int64_t begin,
          int64_t end) {
  for (int64_t n = begin * kBlockRows; n < end * kBlockRows; ++n) {
    for (int64_t k = 0; k < inner; ++k) {
      packed[place(inner, n, k)] = n < weight_rows ? rows[(n - begin * kBlockRows) * stride + k] : Bf16{0};
    }
  }
}

void unpack(Bf16* rows, int64_t stride, const Bf16* packed, int64_t weight_rows, int64_t inner, int64_t begin,
            int64_t end) {
  for (int64_t n = begin * kBlockRows; n < end * kBlockRows && n < weight_rows; ++n) {
    for (int64_t k = 0; k < inner; ++k) rows[(n - begin * kBlockRows) * stride + k] = packed[place(inner, n, k)];
  }
}

int64_t arranged_bytes(const CpuProduct*) { return 0; }
void arrange(void*, const CpuProduct*, int64_t, int64_t) {}

void multiply(const CpuProduct* p, int64_t begin, int64_t end, int64_t, int64_t) {
  for (int64_t m = 0; m < p->rows; ++m) {
    for (int64_t n = begin * kBlockRows; n < end * kBlockRows && n < p->weight_rows; ++n) {
      float sum = 0;
      for (int64_t k = 0; k < p->inner; ++k) {
        sum = __builtin_fmaf(widened_bf16(p->weight[place(p->inner, n, k)]), widened_bf16(p->x[m * p->x_stride + k]), sum);
      }
      if (p->bias != nullptr) sum += widened_bf16(p->bias[n]);
      const Bf16 bits = rounded_bf16(sum);
      p->out[m * p->out_stride + n] = p->table == nullptr ? bits : p->table[bits];
    }
  }
}

}  // namespace

const CpuKernels kScalarKernels{"scalar", 0, pack, unpack, arranged_bytes, 1, arrange, multiply, kAnyRows};

}  // namespace facellm

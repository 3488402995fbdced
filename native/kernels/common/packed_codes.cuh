// Codes of packed weights (weight_blocks.h) as a warp reads them, 512 bytes of a block at a time, a "step": lane 4 g + c has 16
// bytes, of rows 4 g .. 4 g + 3, in each of them `kColumns` columns from kColumns * c of the step on. Which rows and columns go
// into one multiplication of tensor cores is free: so what a lane has read are its fragments of mma_m16n8k16, of rows 4 g and
// 4 g + 1 in the first and 4 g + 2 and 4 g + 3 in the second.
#pragma once

#include "core/nf4_values.h"
#include "kernels/common/eights.cuh"
#include "kernels/common/instructions.cuh"
#include "kernels/common/weight_blocks.h"

namespace facellm::cuda {

template <WeightForm kForm>
constexpr bool kHasNibbles = kForm == WeightForm::kInt4 || kForm == WeightForm::kNf4;
template <WeightForm kForm>
constexpr int kColumns = kHasNibbles<kForm> ? 8 : 4;
template <WeightForm kForm>
constexpr int kStepColumns = 4 * kColumns<kForm>;

// Of nf4, handed to a kernel as an argument.
struct CodeValues {
  float values[16];
};

inline CodeValues nf4_values() {
  CodeValues made{};
  for (int i = 0; i < 16; ++i) made.values[i] = kNf4[i];
  return made;
}

// Into shared memory, where the form has such: each index known when it is compiled, so that nothing is copied to local memory.
template <WeightForm kForm>
__device__ __forceinline__ void share_code_values(const CodeValues& from, float* shared) {
  if constexpr (kForm == WeightForm::kNf4) {
#pragma unroll
    for (int i = 0; i < 16; ++i) {
      if (static_cast<int>(threadIdx.x) == i) shared[i] = from.values[i];
    }
    __syncthreads();
  }
}

// Of int4, from the group's size: no step divides.
struct Int4Records {
  int shift;  // of a step, to its record's number
  int bytes;  // of a record

  __device__ __forceinline__ explicit Int4Records(int64_t group) : shift(group == 128 ? 2 : group == 64 ? 1 : 0), bytes(64 + static_cast<int>(group) * 16) {
    static_assert(kInt4HeadBytes == 64);
  }
  __device__ __forceinline__ int scales(int step) const { return (step >> shift) * bytes; }
  __device__ __forceinline__ int codes(int step) const { return scales(step) + 64 + (step & ((1 << shift) - 1)) * 512; }
};

// Where step `step` of a block has its codes, and where its scales are: of a record of columns, or of the whole block.
template <WeightForm kForm>
__device__ __forceinline__ const uint8_t* codes_at(const uint8_t* block, int step, const Int4Records& int4) {
  if constexpr (kForm == WeightForm::kInt8) return block + kInt8HeadBytes + step * 512;
  if constexpr (kForm == WeightForm::kFp8) return block + kFp8HeadBytes + step * 512;
  if constexpr (kForm == WeightForm::kInt4) return block + int4.codes(step);
  return block + (step >> 1) * static_cast<int>(kNf4RecordBytes) + kNf4HeadBytes + (step & 1) * 512;
}
template <WeightForm kForm>
__device__ __forceinline__ const uint8_t* scales_at(const uint8_t* block, int step, const Int4Records& int4) {
  if constexpr (kForm == WeightForm::kInt4) return block + int4.scales(step);
  if constexpr (kForm == WeightForm::kNf4) return block + (step >> 1) * static_cast<int>(kNf4RecordBytes);
  return block;
}

// fp16 as fp32, exactly; there are no infinities.
__device__ __forceinline__ float widen_half(uint32_t bits) {
  const float magnitude = __int_as_float(static_cast<int>((bits & 0x7fffu) << 13)) * 0x1p112f;
  return (bits & 0x8000u) != 0 ? -magnitude : magnitude;
}

// The scales of rows 4 g .. 4 g + 3.
template <WeightForm kForm>
__device__ __forceinline__ void load_scales(const uint8_t* scales, int g, float (&out)[4]) {
  if constexpr (kForm == WeightForm::kInt4) {
    const uint2 halves = *reinterpret_cast<const uint2*>(scales + g * 8);
    out[0] = widen_half(halves.x & 0xffffu);
    out[1] = widen_half(halves.x >> 16);
    out[2] = widen_half(halves.y & 0xffffu);
    out[3] = widen_half(halves.y >> 16);
  } else {
    const float4 four = *reinterpret_cast<const float4*>(scales + g * 16);
    out[0] = four.x;
    out[1] = four.y;
    out[2] = four.z;
    out[3] = four.w;
  }
}

// A row's word of a step as fp32, in the order of its columns.
template <WeightForm kForm>
__device__ __forceinline__ void widen_codes(uint32_t word, const float* nf4, float (&out)[kColumns<kForm>]) {
#pragma unroll
  for (int j = 0; j < 4; ++j) {
    const uint32_t byte = word >> (8 * j) & 0xffu;
    if constexpr (kForm == WeightForm::kInt8) {
      out[j] = static_cast<float>(static_cast<int>(byte ^ 0x80u) - 128);
    } else if constexpr (kForm == WeightForm::kFp8) {
      const float magnitude = __int_as_float(static_cast<int>((byte & 0x7fu) << 20)) * 0x1p120f;
      out[j] = (byte & 0x80u) != 0 ? -magnitude : magnitude;
    } else if constexpr (kForm == WeightForm::kInt4) {
      out[j] = static_cast<float>(static_cast<int>(byte & 15u) - 8);
      out[4 + j] = static_cast<float>(static_cast<int>(byte >> 4) - 8);
    } else {
      out[j] = nf4[byte & 15u];
      out[4 + j] = nf4[byte >> 4];
    }
  }
}

constexpr uint32_t kOneBf16x2 = 0x3f803f80u, kMinusBf16x2 = 0x80008000u;

// The same as pairs of bf16, which hold what codes of int8, int4 and fp8 stand for exactly; nf4's are multiplied by `scale` and rounded.
// Numbers are put together, not converted: 0x4300 | u is 128 + u, of seven bits.
template <WeightForm kForm>
__device__ __forceinline__ void codes_to_pairs(uint32_t word, const float* nf4, float scale, uint32_t (&out)[kColumns<kForm> / 2]) {
  constexpr uint32_t kLowBytes = 0x4140, kHighBytes = 0x4342;  // of one word, each beneath a byte of the other
  if constexpr (kForm == WeightForm::kInt8) {
    // -128 of a two's complement: 128 + its seven bits, less 128 or 256.
    const uint32_t bits = word & 0x7f7f7f7fu, signs = word & 0x80808080u;
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const uint32_t selector = i == 0 ? kLowBytes : kHighBytes;
      out[i] = fma_bf16x2(__byte_perm(bits, 0x43u, selector), kOneBf16x2, __byte_perm(signs, 0x43u, selector) ^ kMinusBf16x2);
    }
  } else if constexpr (kForm == WeightForm::kInt4) {
    constexpr uint32_t kLess136 = 0xc308c308u;
    const uint32_t low = word & 0x0f0f0f0fu, high = word >> 4 & 0x0f0f0f0fu;
    out[0] = fma_bf16x2(__byte_perm(low, 0x43u, kLowBytes), kOneBf16x2, kLess136);
    out[1] = fma_bf16x2(__byte_perm(low, 0x43u, kHighBytes), kOneBf16x2, kLess136);
    out[2] = fma_bf16x2(__byte_perm(high, 0x43u, kLowBytes), kOneBf16x2, kLess136);
    out[3] = fma_bf16x2(__byte_perm(high, 0x43u, kHighBytes), kOneBf16x2, kLess136);
  } else if constexpr (kForm == WeightForm::kFp8) {
    constexpr uint32_t k2To120 = 0x7b807b80u;
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const uint32_t halves = __byte_perm(word, 0u, i == 0 ? 0x1404 : 0x3424);  // a code in the upper byte of each
      out[i] = fma_bf16x2((halves & 0x80008000u) | (halves >> 4 & 0x07f007f0u), k2To120, kMinusBf16x2);
    }
  } else {
    float values[8];
    widen_codes<kForm>(word, nf4, values);
#pragma unroll
    for (int i = 0; i < 4; ++i) out[i] = round_pair(values[2 * i] * scale, values[2 * i + 1] * scale);
  }
}

}  // namespace facellm::cuda

// A warp a step of a block (packed_codes.cuh): 512 bytes of codes are read, and of 32 rows 32 or 64 bytes of bf16 written.
// Each number is its code's value times its scale in fp32, rounded once.
#include "kernels/common/packed_codes.cuh"
#include "kernels/dequantise/dequantise_cuda.h"

namespace facellm {
namespace {

constexpr int kWarps = 8, kThreads = 32 * kWarps;
constexpr int kSteps = 4;  // of a warp

template <int kCount>
__device__ __forceinline__ void store_together(float* to, const float (&values)[kCount]) {
#pragma unroll
  for (int i = 0; i < kCount; i += 4) {
    *reinterpret_cast<float4*>(to + i) = make_float4(values[i], values[i + 1], values[i + 2], values[i + 3]);
  }
}
template <int kCount>
__device__ __forceinline__ void store_together(__nv_bfloat16* to, const float (&values)[kCount]) {
#pragma unroll
  for (int i = 0; i < kCount; i += 4) {
    *reinterpret_cast<uint2*>(to + i) =
        make_uint2(cuda::round_pair(values[i], values[i + 1]), cuda::round_pair(values[i + 2], values[i + 3]));
  }
}

template <WeightForm kForm, typename T>
__global__ void __launch_bounds__(kThreads)
    dequantise_kernel(const uint8_t* blocks, T* out, DequantiseShape s, cuda::CodeValues nf4_values) {
  constexpr int kColumns = cuda::kColumns<kForm>, kStepColumns = cuda::kStepColumns<kForm>;
  __shared__ float nf4[16];
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  const int g = lane / 4, c = lane % 4;
  cuda::share_code_values<kForm>(nf4_values, nf4);
  const uint8_t* const block = blocks + static_cast<int64_t>(blockIdx.x) * s.block_bytes;
  const bool is_whole = s.inner % kColumns == 0;  // of each lane's columns all are there or none
  const cuda::Int4Records records(s.group);
  // One step after another: with all loads of a warp at once, and the registers that takes, it was slower (docs/gpu.md).
#pragma unroll 1
  for (int i = 0; i < kSteps; ++i) {
    const int step = (static_cast<int>(blockIdx.y) * kSteps + i) * kWarps + warp;
    const int64_t column = static_cast<int64_t>(step) * kStepColumns + c * kColumns;
    if (column >= s.inner) continue;
    const uint4 four = cuda::load_once(cuda::codes_at<kForm>(block, step, records) + c * 128 + g * 16);
    const uint32_t words[4] = {four.x, four.y, four.z, four.w};
    float scales[4];
    cuda::load_scales<kForm>(cuda::scales_at<kForm>(block, step, records), g, scales);
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const int64_t row = static_cast<int64_t>(blockIdx.x) * 32 + 4 * g + j;
      if (row >= s.rows) continue;
      float values[kColumns];
      cuda::widen_codes<kForm>(words[j], nf4, values);
#pragma unroll
      for (int k = 0; k < kColumns; ++k) values[k] *= scales[j];
      T* const to = out + row * s.inner + column;
      if (is_whole) {
        store_together(to, values);
        continue;
      }
#pragma unroll
      for (int k = 0; k < kColumns; ++k) {
        if (column + k < s.inner) cuda::store(to + k, values[k]);
      }
    }
  }
}

// A block of threads a row.
template <typename T>
__global__ void gather_int8_kernel(const uint8_t* blocks, const int64_t* ids, T* out, DequantiseShape s) {
  cuda::let_next_start();
  cuda::wait_for_previous();
  const int64_t id = ids[blockIdx.x];
  if (id < 0 || id >= s.rows) return;
  const uint8_t* const block = blocks + id / 32 * s.block_bytes;
  const float scale = reinterpret_cast<const float*>(block)[id % 32];
  for (int64_t quad = threadIdx.x; quad * 4 < s.inner; quad += blockDim.x) {
    const uint32_t word = *reinterpret_cast<const uint32_t*>(block + kInt8HeadBytes + quad * 128 + id % 32 * 4);
    float values[4];
    cuda::widen_codes<WeightForm::kInt8>(word, nullptr, values);
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      const int64_t column = quad * 4 + k;
      if (column < s.inner) cuda::store(out + static_cast<int64_t>(blockIdx.x) * s.inner + column, values[k] * scale);
    }
  }
}

template <WeightForm kForm, typename T>
void launch(const void* blocks, void* out, const DequantiseShape& s, cudaStream_t stream) {
  const auto nf4 = cuda::nf4_values();
  const int64_t steps = (s.inner + cuda::kStepColumns<kForm> - 1) / cuda::kStepColumns<kForm>;
  const dim3 grid(static_cast<unsigned>((s.rows + 31) / 32), static_cast<unsigned>((steps + kWarps * kSteps - 1) / (kWarps * kSteps)));
  // What was read of `out` before has been: no early start.
  cuda::launch(dequantise_kernel<kForm, T>, grid, kThreads, 0, stream, static_cast<const uint8_t*>(blocks), static_cast<T*>(out), s, nf4);
}

template <typename T>
void launch_of(WeightForm form, const void* blocks, void* out, const DequantiseShape& s, cudaStream_t stream) {
  switch (form) {
    case WeightForm::kInt8: return launch<WeightForm::kInt8, T>(blocks, out, s, stream);
    case WeightForm::kInt4: return launch<WeightForm::kInt4, T>(blocks, out, s, stream);
    case WeightForm::kFp8: return launch<WeightForm::kFp8, T>(blocks, out, s, stream);
    default: return launch<WeightForm::kNf4, T>(blocks, out, s, stream);
  }
}

}  // namespace

void dequantise_cuda(WeightForm form, const void* blocks, void* out, const DequantiseShape& shape, bool is_bf16, cudaStream_t stream) {
  (is_bf16 ? launch_of<__nv_bfloat16> : launch_of<float>)(form, blocks, out, shape, stream);
}

void gather_int8_cuda(const void* blocks, const int64_t* ids, void* out, int64_t count, const DequantiseShape& shape, bool is_bf16,
                      cudaStream_t stream) {
  const auto run = [&](auto* to) {
    cuda::launch_early(gather_int8_kernel<std::remove_reference_t<decltype(*to)>>, static_cast<unsigned>(count), 128, 0, stream,
                       static_cast<const uint8_t*>(blocks), ids, to, shape);
  };
  is_bf16 ? run(static_cast<__nv_bfloat16*>(out)) : run(static_cast<float*>(out));
}

}  // namespace facellm

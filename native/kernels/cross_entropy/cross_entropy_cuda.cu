// One block a row. The first pass keeps the largest logit so far and the sum of powers relative to it, each thread its own; the second,
// where gradients are wanted, finds the row in the second-level cache. Eight numbers of bf16 at once from the first address on that is
// aligned to 16 bytes: a vocabulary is no multiple of eight.
#include "kernels/common/block_reduce.cuh"
#include "kernels/common/eights.cuh"
#include "kernels/cross_entropy/cross_entropy_cuda.h"

namespace facellm {
namespace {

constexpr int kThreads = 512;

struct RunningSum {
  float largest, sum;  // of e^(x - largest)

  __device__ __forceinline__ void add(float x) {
    if (x > largest) {
      sum = __fmaf_rn(sum, expf(largest - x), 1.f);
      largest = x;
    } else {
      sum += expf(x - largest);
    }
  }
};

// Numbers before the first eight that lie on 16 bytes.
__device__ __forceinline__ int64_t unaligned(const __nv_bfloat16* row, int64_t size) {
  const int64_t count = (16 - reinterpret_cast<uintptr_t>(row) % 16) % 16 / 2;
  return count < size ? count : size;
}

// visit(i, x) for this thread's numbers of a row; what it returns is written where kIsChanged.
template <bool kIsChanged, typename Visit>
__device__ __forceinline__ void visit_row(float* row, int64_t size, Visit visit) {
  for (int64_t i = threadIdx.x; i < size; i += kThreads) {
    const float own = visit(i, row[i]);
    if (kIsChanged) row[i] = own;
  }
}

template <bool kIsChanged, typename Visit>
__device__ __forceinline__ void visit_row(__nv_bfloat16* row, int64_t size, Visit visit) {
  const int64_t begin = unaligned(row, size), end = begin + (size - begin) / 8 * 8;
  const auto one = [&](int64_t i) {
    const float own = visit(i, cuda::load(row + i));
    if (kIsChanged) cuda::store(row + i, own);
  };
  if (threadIdx.x < begin) one(threadIdx.x);
  for (int64_t i = begin + threadIdx.x * 8; i < end; i += kThreads * 8) {
    float x[8];
    cuda::widen_eight(cuda::load_eight(row + i), x);
#pragma unroll
    for (int k = 0; k < 8; ++k) x[k] = visit(i + k, x[k]);
    if (kIsChanged) *reinterpret_cast<uint4*>(row + i) = cuda::narrow_eight(x);
  }
  if (end + threadIdx.x < size) one(end + threadIdx.x);
}

template <typename T>
__global__ void __launch_bounds__(kThreads) cross_entropy_kernel(T* logits, const int64_t* labels, const float* scales, float* losses,
                                                                 int64_t size) {
  const int64_t row_index = blockIdx.x;
  T* const row = logits + row_index * size;
  const int64_t label = labels[row_index];
  const bool is_inside = label >= 0 && label < size;
  const float of_label = is_inside ? cuda::load(row + label) : NAN;
  // The smallest number that is one: of infinity less itself nothing can be told.
  RunningSum own{-3.402823466e38f, 0.f};
  visit_row<false>(row, size, [&](int64_t, float x) {
    own.add(x);
    return x;
  });
  const float largest = cuda::block_reduce<kThreads>(own.largest, own.largest, [](float a, float b) { return cuda::larger(a, b); });
  // By name, as all that could be fused into a sum: the bits do not depend on the compiler.
  const float part = __fmul_rn(own.sum, expf(own.largest - largest));
  const float total = cuda::block_reduce<kThreads>(part, 0.f, [](float a, float b) { return cuda::sum_of(a, b); });
  // The label's logit has been read by all before any thread writes.
  if (threadIdx.x == 0) losses[row_index] = largest - of_label + logf(total);
  if (scales == nullptr) return;
  const float scale = scales[row_index], share = scale / total;
  visit_row<true>(row, size, [&](int64_t i, float x) { return __fmaf_rn(expf(x - largest), share, i == label ? -scale : 0.f); });
}

}  // namespace

void cross_entropy_cuda(void* logits, const int64_t* labels, const float* scales, float* losses, int64_t rows, int64_t size, bool is_bf16,
                        cudaStream_t stream) {
  const auto blocks = static_cast<unsigned>(rows);
  if (is_bf16) {
    cuda::launch(cross_entropy_kernel<__nv_bfloat16>, blocks, kThreads, 0, stream, static_cast<__nv_bfloat16*>(logits), labels, scales, losses,
                 size);
  } else {
    cuda::launch(cross_entropy_kernel<float>, blocks, kThreads, 0, stream, static_cast<float*>(logits), labels, scales, losses, size);
  }
}

}  // namespace facellm

#include "kernels/low_rank/low_rank_on_gpu.h"

#include <algorithm>

#include "kernels/common/checks.h"
#include "kernels/common/cuda_launch.h"
#include "kernels/low_rank/low_rank_cuda.h"

namespace facellm {
namespace {

bool is_aligned(const at::Tensor& tensor) { return reinterpret_cast<uintptr_t>(tensor.const_data_ptr()) % 16 == 0; }

// B as it is stored: [count, rank], the ranks of a column of out in line.
bool is_by_columns(const LowRankPart& part) { return part.b.size(0) > 0 && (part.b.size(0) == 1 || part.b.stride(0) == 1); }

}  // namespace

bool takes_low_rank_on_gpu(const at::Tensor& out, const at::Tensor& x, const LowRankGroup& group) {
  const bool is_dtype = x.scalar_type() == at::kBFloat16 || x.scalar_type() == at::kFloat;
  if (!x.is_cuda() || !is_dtype || group.count == 0 || group.count > kMostLowRankRows) return false;
  const auto& [a, parts] = *group.matrices;
  const int64_t in = x.size(1);
  return in > 0 && in % kLowRankMultiple == 0 && x.stride(1) == 1 && x.stride(0) % kLowRankMultiple == 0 && is_aligned(x) &&
         (out.size(1) <= 1 || out.stride(1) == 1) && a.is_contiguous() && is_aligned(a) && !parts.empty() &&
         static_cast<int64_t>(parts.size()) <= kMostLowRankParts && a.size(0) <= kMostLowRanks && std::ranges::all_of(parts, is_by_columns);
}

void low_rank_on_gpu(const at::Tensor& out, const at::Tensor& x, const at::Tensor& bias, std::span<const LowRankGroup> groups) {
#if FACELLM_CUDA
  std::vector<LowRankCudaPart> parts;
  std::vector<LowRankCudaGroup> own;
  int64_t most_ranks = 0;
  for (const auto& [matrices, begin, count] : groups) {
    own.push_back({matrices->a.const_data_ptr(), begin, count, matrices->a.size(0), nullptr, static_cast<int64_t>(matrices->parts.size())});
    most_ranks = std::max(most_ranks, matrices->a.size(0));
    for (const auto& part : matrices->parts) {
      parts.push_back({part.b.const_data_ptr(), part.gain.defined() ? part.gain.const_data_ptr<float>() : nullptr, part.begin, part.count,
                       part.b.size(0), part.b.stride(1), static_cast<float>(part.scaling)});
    }
  }
  const LowRankCudaPart* first = parts.data();
  for (auto& group : own) {
    group.parts = first;
    first += group.part_count;
  }
  const auto u = at::empty({x.size(0), most_ranks}, x.options());
  const LowRankCuda work{x.const_data_ptr(),
                         u.mutable_data_ptr(),
                         out.mutable_data_ptr(),
                         bias.defined() ? bias.const_data_ptr() : nullptr,
                         x.stride(0),
                         most_ranks,
                         out.stride(0),
                         x.size(1),
                         out.size(1),
                         own.data(),
                         static_cast<int64_t>(own.size())};
  cuda_launch("low_rank", x, [&](cudaStream_t stream) { low_rank_cuda(work, x.scalar_type() == at::kBFloat16, stream); });
#else
  throw Error(ErrorCode::kDeviceNoCuda, "low_rank: this build has no CUDA");
#endif
}

}  // namespace facellm

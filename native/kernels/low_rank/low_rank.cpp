#include "kernels/low_rank/low_rank.h"

#include <ATen/Parallel.h>

#include <algorithm>

#include "kernels/common/checks.h"
#include "kernels/common/rows.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/row_work.h"
#include "kernels/cpu/scratch.h"
#include "kernels/low_rank/low_rank_on_cpu.h"
#include "kernels/low_rank/low_rank_on_gpu.h"

namespace facellm {
namespace {

// Multiplications below which a second thread costs more than it saves: matrices of several stacks are read from memory.
constexpr int64_t kWorthThreadsOfStacks = 1 << 16;
// Of one group. Up to so many the kernel is faster than libtorch at ranks to 16 (docs/decisions/2026-11-27-adapter-stacks.md).
constexpr int64_t kMostGroupRows = 16;

bool takes(const at::Tensor& out, const at::Tensor& x) {
  return takes_row_kernels(x) && (x.size(1) <= 1 || x.stride(1) == 1) && (out.size(1) <= 1 || out.stride(1) == 1);
}

void check_part(KernelChecks& checks, const LowRankPart& part, const at::Tensor& out) {
  const auto& [begin, count, b, scaling, gain] = part;
  checks.require_same(b, out, "b");
  checks.require(b.dim() == 2 && b.size(1) == count && begin >= 0 && count >= 0 && begin + count <= out.size(1),
                 "parts: expected columns that are there");
  // The kernel walks them by no stride.
  checks.require(!b.is_cpu() || b.is_contiguous(), "b: expected it contiguous");
  if (!gain.defined()) return;
  checks.require(gain.scalar_type() == at::kFloat && gain.device() == out.device() && gain.is_contiguous(), "gain: expected fp32 beside out");
  checks.require_shape(gain, {count}, "gain");
}

void check(const at::Tensor& out, const at::Tensor& x, const at::Tensor& bias, std::span<const LowRankGroup> groups, bool is_invariant) {
  KernelChecks checks("low_rank");
  checks.require_float(x, "x");
  checks.require_same(out, x, "out");
  checks.require(x.dim() == 2 && out.dim() == 2 && x.size(0) == out.size(0), "x, out: expected as many rows of each");
  checks.finish();
  checks.require(!is_invariant || takes(out, x), "is_invariant: expected rows of a CPU in fp32 or bf16");
  if (bias.defined()) {
    checks.require_same(bias, x, "bias");
    checks.require_shape(bias, {out.size(1)}, "bias");
    checks.require(bias.is_contiguous(), "bias: expected it contiguous");
  }
  int64_t end = 0;
  for (const auto& [matrices, begin, count] : groups) {
    checks.require(begin >= end && count >= 0 && begin + count <= x.size(0), "groups: expected rows that are there, one group behind another");
    end = begin + count;
    const auto& a = matrices->a;
    checks.require_same(a, x, "a");
    checks.require(a.dim() == 2 && a.size(1) == x.size(1) && (!a.is_cpu() || a.is_contiguous()), "a: expected as many columns as x has, contiguous");
    int64_t ranks = 0;
    for (const auto& part : matrices->parts) {
      check_part(checks, part, out);
      ranks += part.b.size(0);
    }
    checks.require(ranks == a.size(0), "parts: expected as many ranks as a has rows");
  }
  checks.finish();
}

// What the kernel takes of one stack's matrices.
struct Job {
  std::vector<CpuLowRankPart> parts;
  CpuLowRank rows;
  int64_t work = 0;  // multiplications
};

Job job_of(const at::Tensor& out, const at::Tensor& x, const at::Tensor& bias, const LowRankGroup& group) {
  const auto& [a, parts] = *group.matrices;
  Job job;
  job.parts = cpu_parts_of(*group.matrices);
  int64_t cost = a.numel();
  for (const auto& part : parts) cost += part.b.numel();
  const int64_t bytes = x.element_size();
  job.work = cost * group.count;
  job.rows = {static_cast<const char*>(x.const_data_ptr()) + group.begin * x.stride(0) * bytes,
              x.stride(0),
              static_cast<char*>(out.mutable_data_ptr()) + group.begin * out.stride(0) * bytes,
              out.stride(0),
              a.const_data_ptr(),
              x.size(1),
              a.size(0),
              job.parts.data(),
              static_cast<int64_t>(job.parts.size()),
              bias.defined() ? bias.const_data_ptr() : nullptr,
              x.scalar_type() == at::kBFloat16};
  return job;
}

void fused(const at::Tensor& out, const at::Tensor& x, const at::Tensor& bias, std::span<const LowRankGroup> groups) {
  std::vector<Job> jobs;
  int64_t rows = 0, work = 0, most_ranks = 0;
  for (const auto& group : groups) {
    jobs.push_back(job_of(out, x, bias, group));
    rows += group.count;
    work += jobs.back().work;
    most_ranks = std::max(most_ranks, jobs.back().rows.ranks);
  }
  const int64_t threads = work < kWorthThreadsOfStacks ? 1 : at::get_num_threads();
  // Of one group, by one thread.
  const int64_t piece = std::clamp((rows + threads - 1) / threads, int64_t{1}, kLowRankRows);
  const auto pieces_of = [&](const LowRankGroup& group) { return (group.count + piece - 1) / piece; };
  int64_t pieces = 0;
  for (const auto& group : groups) pieces += pieces_of(group);
  const auto run = [&](int64_t begin, int64_t end) {
    void* const memory = work_scratch(row_kernels().low_rank_bytes(most_ranks));
    int64_t first = 0;  // piece of the group
    for (size_t g = 0; g < jobs.size() && first < end; ++g) {
      const int64_t own = pieces_of(groups[g]);
      const int64_t from = std::max(begin - first, int64_t{0}), to = std::min(end - first, own);
      if (from < to) row_kernels().add_low_rank(&jobs[g].rows, memory, from * piece, std::min(to * piece, groups[g].count));
      first += own;
    }
  };
  if (threads == 1) return run(0, pieces);
  at::parallel_for(0, pieces, 1, run);
}

}  // namespace

std::vector<CpuLowRankPart> cpu_parts_of(const LowRankMatrices& matrices) {
  std::vector<CpuLowRankPart> parts;
  for (const auto& part : matrices.parts) {
    parts.push_back({part.b.const_data_ptr(), part.gain.defined() ? part.gain.const_data_ptr<float>() : nullptr, part.begin, part.count,
                     part.b.size(0), static_cast<float>(part.scaling)});
  }
  return parts;
}

void add_low_rank(const at::Tensor& out, const at::Tensor& x, const at::Tensor& bias, std::span<const LowRankGroup> groups,
                  bool is_invariant) {
  check(out, x, bias, groups, is_invariant);
  const bool is_by_rows = takes(out, x);
  std::vector<LowRankGroup> together;
  for (const auto& group : groups) {
    const auto& [matrices, begin, count] = group;
    if (is_by_rows ? is_invariant || count <= kMostGroupRows : takes_low_rank_on_gpu(out, x, group)) {
      together.push_back(group);
    } else {
      add_low_rank_reference(out.narrow(0, begin, count), x.narrow(0, begin, count), bias, *matrices);
    }
  }
  if (together.empty()) return;
  is_by_rows ? fused(out, x, bias, together) : low_rank_on_gpu(out, x, bias, together);
}

}  // namespace facellm

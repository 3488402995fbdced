// low_rank_cuda.cu's numbers by a scalar reference: its sums in its own order, u and what each part leaves rounded once, and nothing else
// written.
#pragma once

#include <cmath>
#include <vector>

#include "add_rms_norm_check.h"
#include "kernels/low_rank/low_rank_cuda.h"

namespace facellm {

// A copy of the kernel has types of its own; their memory is the same.
template <typename Work>
void launch_low_rank(void (*launcher)(const Work&, bool, cudaStream_t), const LowRankCuda& work, bool is_bf16) {
  static_assert(sizeof(Work) == sizeof work);
  launcher(reinterpret_cast<const Work&>(work), is_bf16, nullptr);
}

struct LowRankCase {
  struct Part {
    int64_t begin, count, rank;
    bool has_gain = false;
    int64_t slack = 0;  // numbers behind each row of B
  };
  struct Group {
    int64_t begin, count;
    std::vector<Part> parts;
  };
  int64_t rows, in, out;
  bool has_bias;
  std::vector<Group> groups;
};

// One row's column k of x A^T, before it is rounded: each thread's products fused into its sum, eight columns at a time.
template <typename T>
float low_rank_sum(const T* x, const T* a, int64_t in) {
  const int64_t threads = low_rank_threads(in);
  std::vector<float> own(static_cast<size_t>(threads), 0.f);
  for (int64_t c = 0; c < in; ++c) {
    float& sum = own[static_cast<size_t>(c / 8 % threads)];
    sum = std::fma(wide(x[c]), wide(a[c]), sum);
  }
  float all = 0;
  for (auto warp = own.begin(); warp != own.end(); warp += 32) all += warp_sum({warp, warp + 32});
  return all;
}

// `launcher`: low_rank_cuda, or another that claims to do the same.
template <typename T, typename Launcher>
Comparison check_low_rank(Launcher launcher, const LowRankCase& n) {
  constexpr float kScaling = 1.5f;
  const int64_t x_stride = n.in + 8, out_stride = n.out + 3;
  auto x = noise<T>((n.rows - 1) * x_stride + n.in, "x"), bias = noise<T>(n.out, "bias"), out = noise<T>(n.rows * out_stride, "out");
  std::vector<T> expected(out.begin(), out.end());
  std::vector<cuda_on_cpu::Buffer<T>> matrices;
  std::vector<cuda_on_cpu::Buffer<float>> gains;
  std::vector<std::vector<LowRankCudaPart>> parts;
  std::vector<LowRankCudaGroup> groups;
  int64_t most_ranks = 1;
  for (const auto& group : n.groups) {
    int64_t ranks = 0;
    for (const auto& part : group.parts) ranks += part.rank;
    most_ranks = std::max(most_ranks, ranks);
    matrices.push_back(noise<T>(ranks * n.in, "a"));
    const T* const a = matrices.back().data();
    auto& own = parts.emplace_back();
    for (const auto& part : group.parts) {
      const int64_t stride = part.rank + part.slack;
      matrices.push_back(noise<T>(part.count * stride - part.slack, "b"));
      if (part.has_gain) gains.push_back(noise<float>(part.count, "gain"));
      own.push_back({matrices.back().data(), part.has_gain ? gains.back().data() : nullptr, part.begin, part.count, part.rank, stride, kScaling});
    }
    groups.push_back({a, group.begin, group.count, ranks, own.data(), static_cast<int64_t>(own.size())});
  }
  cuda_on_cpu::Buffer<T> u(static_cast<size_t>(n.rows * most_ranks), "u");
  launch_low_rank(launcher,
                  {x.data(), u.data(), out.data(), n.has_bias ? bias.data() : nullptr, x_stride, most_ranks, out_stride, n.in, n.out,
                   groups.data(), static_cast<int64_t>(groups.size())},
                  is_bf16<T>);
  for (const auto& group : groups) {
    for (int64_t row = group.begin; row < group.begin + group.count; ++row) {
      int64_t first = 0;
      for (int64_t p = 0; p < group.part_count; ++p) {
        const auto& part = group.parts[p];
        std::vector<float> own_u;
        for (int64_t j = 0; j < part.rank; ++j) {
          own_u.push_back(rounded<T>(low_rank_sum(x.data() + row * x_stride, static_cast<const T*>(group.a) + (first + j) * n.in, n.in)));
        }
        for (int64_t c = 0; c < part.count; ++c) {
          float sum = 0;
          for (int64_t j = 0; j < part.rank; ++j) {
            sum = std::fma(own_u[static_cast<size_t>(j)], wide(static_cast<const T*>(part.b)[c * part.b_stride + j]), sum);
          }
          T& own = expected[static_cast<size_t>(row * out_stride + part.begin + c)];
          const float shift = part.gain != nullptr && n.has_bias ? wide(bias[static_cast<size_t>(part.begin + c)]) : 0.f;
          const float all = std::fma(sum, part.scaling, wide(own) - shift);
          own = narrow<T>(part.gain != nullptr ? std::fma(all, part.gain[c], shift) : all);
        }
        first += part.rank;
      }
    }
  }
  Comparison comparison;
  for (size_t i = 0; i < expected.size(); ++i) {
    comparison.add(out[i], expected[i], "in", n.in, "groups", n.groups.size(), "row", i / static_cast<size_t>(out_stride), "column",
                   i % static_cast<size_t>(out_stride));
  }
  return comparison;
}

inline std::vector<LowRankCase> low_rank_cases() {
  std::vector<LowRankCase> cases{
      // One of everything; a rank that fills no eight; columns beside a block's.
      {1, 8, 1, false, {{0, 1, {{0, 1, 1}}}}},
      {3, 264, 129, false, {{0, 3, {{0, 129, 3}}}}},
      // qkv of three stacks with rows of nobody around them, parts behind one another, a gap, rows of B that lie apart.
      {11, 96, 200, true, {{1, 1, {{0, 100, 8}, {100, 50, 8}, {150, 50, 8}}}, {2, 5, {{3, 90, 16}, {120, 64, 4, false, 4}}}, {8, 2, {{0, 200, 40, false, 8}}}}},
      // Two adapters that meet, DoRA among them, with a bias.
      {5, 64, 150, true, {{0, 2, {{0, 150, 8}, {10, 100, 5}, {0, 150, 16}}}, {2, 3, {{20, 110, 8, true}, {130, 20, 2, true}}}}},
      {2, 64, 40, false, {{0, 2, {{0, 30, 8, true}}}}},
      // As many threads as columns need, each twice.
      {2, 4864, 9, false, {{0, 2, {{0, 9, 2}}}}},
      // A rank beyond what is loaded at once, and the most ranks.
      {4, 16, 20, false, {{0, 4, {{0, 20, 64}, {4, 10, 448}}}}},
  };
  // More groups than a launch has, and more parts.
  LowRankCase many{10, 16, 12, false, {}}, pieces{3, 16, 40, false, {}};
  for (int64_t g = 0; g < 10; ++g) many.groups.push_back({g, 1, {{g % 3, 9, 2}}});
  for (int64_t g = 0; g < 3; ++g) {
    auto& own = pieces.groups.emplace_back(LowRankCase::Group{g, 1, {}});
    for (int64_t p = 0; p < (g == 2 ? kMostLowRankParts : 20); ++p) own.parts.push_back({p, 8, 1});
  }
  cases.push_back(many);
  cases.push_back(pieces);
  return cases;
}

template <typename Launcher>
Comparison check_low_rank_cases(Launcher launcher) {
  Comparison all;
  for (const auto& one : low_rank_cases()) {
    all.add(check_low_rank<float>(launcher, one));
    all.add(check_low_rank<__nv_bfloat16>(launcher, one));
  }
  return all;
}

}  // namespace facellm

// Low-rank additions of several stacks in one pass: each level of kernels/cpu gives the same bits, beside the truth in fp64, and touches
// nothing that is not its own; the op's choices, and a GPU's kernels.
#include "kernels/low_rank/low_rank.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "devices.h"
#include "row_levels.h"

namespace facellm {
namespace {

struct Shape {
  int64_t in, out;
  std::vector<int64_t> ranks, begins, counts;  // of each part
};

// Parts behind one another, with a gap, over all, twice over the same; ranks and columns that fill no lane.
const std::vector<Shape> kShapes{{48, 40, {3}, {0}, {40}},
                                 {33, 70, {1, 17}, {0, 37}, {31, 33}},
                                 {896, 200, {8, 8}, {10, 10}, {150, 150}},
                                 {7, 16, {40}, {0}, {16}}};

LowRankMatrices random_matrices(const Shape& shape, at::ScalarType type, bool has_gains) {
  LowRankMatrices matrices;
  int64_t ranks = 0;
  for (size_t i = 0; i < shape.ranks.size(); ++i) {
    ranks += shape.ranks[i];
    matrices.parts.push_back({shape.begins[i], shape.counts[i], at::randn({shape.ranks[i], shape.counts[i]}).mul_(0.3).to(type), 1.5,
                              has_gains && i == 0 ? at::rand({shape.counts[i]}).add_(0.5) : at::Tensor()});
  }
  matrices.a = at::randn({ranks, shape.in}).mul_(0.2).to(type);
  return matrices;
}

struct Exact {
  at::Tensor values, allowed;  // double [rows, out]
};

Exact exact(const at::Tensor& out, const at::Tensor& x, const at::Tensor& bias, const LowRankMatrices& matrices) {
  const auto wide = [](const at::Tensor& t) { return t.to(at::kDouble); };
  const double step = step_of(x.scalar_type());
  auto values = wide(out).clone(), allowed = at::zeros_like(values);
  int64_t first = 0;
  for (const auto& part : matrices.parts) {
    const int64_t rank = part.b.size(0);
    const auto a = wide(matrices.a.narrow(0, first, rank)), b = wide(part.b);
    const auto u = at::mm(wide(x), a.t()), u_size = at::mm(wide(x).abs(), a.abs().t());
    // A sum's products and sums, each within a step of fp32, in chains; u's rounding.
    const auto u_error = u_size * ((static_cast<double>(x.size(1)) / 8 + 12) * 0x1p-24) + u.abs() * step;
    auto own = values.narrow(1, part.begin, part.count), error = allowed.narrow(1, part.begin, part.count);
    const auto delta = at::mm(u, b) * part.scaling;
    const auto delta_error = (at::mm(u_error, b.abs()) + at::mm(u.abs(), b.abs()) * static_cast<double>(rank + 2) * 0x1p-24) * part.scaling;
    const auto size = own.abs() + delta.abs();
    own.add_(delta);
    error.add_(delta_error);
    if (part.gain.defined()) {
      const auto shift = bias.defined() ? wide(bias).narrow(0, part.begin, part.count) : at::zeros({part.count}, at::kDouble);
      const auto gain = wide(part.gain);
      own.sub_(shift).mul_(gain).add_(shift);
      error.mul_(gain).add_((size + shift.abs() * 2) * gain * (4 * 0x1p-24));
    }
    // Its sums of fp32, and the rounding of what is stored.
    error.add_(size * (4 * 0x1p-24) + own.abs() * (1.01 * step));
    first += rank;
  }
  return {values, allowed + 1e-40};
}

TEST(LowRank, EveryLevelGivesTheTruthAndTheSameBits) {
  at::manual_seed(1);
  for (const auto type : kDtypes) {
    for (const auto& shape : kShapes) {
      for (const bool has_gains : {false, true}) {
        const auto matrices = random_matrices(shape, type, has_gains);
        const auto bias = has_gains ? at::randn({shape.out}).to(type) : at::Tensor();
        const int64_t rows = 7;
        const auto x = at::randn({rows, shape.in}).to(type), before = at::randn({rows, shape.out}).to(type);
        const auto expected = exact(before, x, bias, matrices);
        at::Tensor first;
        for (const auto* kernels : levels()) {
          const auto where = std::string(kernels->name) + " " + c10::toString(type) + " of " + std::to_string(shape.in);
          const Numbers own_x(x), own_a(matrices.a), own_out(before), own_bias(has_gains ? bias : at::zeros({1}, type));
          std::vector<std::unique_ptr<Numbers>> kept;
          std::vector<CpuLowRankPart> parts;
          for (const auto& part : matrices.parts) {
            kept.push_back(std::make_unique<Numbers>(part.b));
            const void* const b = kept.back()->data();
            if (part.gain.defined()) kept.push_back(std::make_unique<Numbers>(part.gain));
            parts.push_back({b, part.gain.defined() ? static_cast<const float*>(kept.back()->data()) : nullptr, part.begin, part.count,
                             part.b.size(0), static_cast<float>(part.scaling)});
          }
          const CpuLowRank job{own_x.data(), shape.in, own_out.data(), shape.out, own_a.data(), shape.in, matrices.a.size(0), parts.data(),
                               static_cast<int64_t>(parts.size()), has_gains ? own_bias.data() : nullptr, type == at::kBFloat16};
          const Guarded work((kernels->low_rank_bytes(job.ranks) + 1) / 2);
          // One, two, three and one rows, each of which has a path of its own, and none.
          for (const auto& [begin, end] : {std::pair<int64_t, int64_t>{0, 1}, {1, 3}, {3, 6}, {6, 6}, {6, 7}}) {
            kernels->add_low_rank(&job, work.data(), begin, end);
          }
          const auto out = own_out.tensor();
          expect_within(out, expected.values, expected.allowed, where);
          if (!first.defined()) first = out;
          EXPECT_TRUE(at::equal(bits(out), bits(first))) << where;
        }
        // The op: two groups with a row of nobody's between them, rows that lie apart, one thread and two.
        for (const int threads : {1, 2}) {
          const int before_threads = at::get_num_threads();
          at::set_num_threads(threads);
          const auto wide_x = at::cat({x, x.narrow(1, 0, 1)}, 1).narrow(1, 0, shape.in);
          const auto out = at::cat({before, before.narrow(1, 0, 1)}, 1).narrow(1, 0, shape.out);
          const std::vector<LowRankGroup> groups{{&matrices, 0, 2}, {&matrices, 3, 4}};
          add_low_rank(out, wide_x, bias, groups);
          at::set_num_threads(before_threads);
          EXPECT_TRUE(at::equal(bits(out.narrow(0, 2, 1)), bits(before.narrow(0, 2, 1))));
          EXPECT_TRUE(at::equal(bits(out.narrow(0, 0, 2)), bits(first.narrow(0, 0, 2))));
          EXPECT_TRUE(at::equal(bits(out.narrow(0, 3, 4)), bits(first.narrow(0, 3, 4))));
        }
      }
    }
  }
}

TEST(LowRank, ThePlainVersionIsTheTruthAndTakesManyRows) {
  at::manual_seed(2);
  for (const auto type : kDtypes) {
    const auto& shape = kShapes[2];
    const auto matrices = random_matrices(shape, type, false);
    const int64_t rows = 40;
    const auto x = at::randn({rows, shape.in}).to(type), before = at::randn({rows, shape.out}).to(type);
    auto expected = exact(before, x, {}, matrices);
    // libtorch's sums are in an order of its own: the textbook bound, as many steps as there are numbers.
    expected.allowed.mul_(static_cast<double>(shape.in) / (static_cast<double>(shape.in) / 8 + 12));
    const auto plain = before.clone(), by_op = before.clone(), invariant = before.clone();
    add_low_rank_reference(plain, x, {}, matrices);
    expect_within(plain, expected.values, expected.allowed, "plain");
    const std::vector<LowRankGroup> all{{&matrices, 0, rows}};
    add_low_rank(by_op, x, {}, all);
    EXPECT_TRUE(at::equal(bits(by_op), bits(plain)));
    // Where bits may not follow from the number of rows, a row is what it is alone.
    add_low_rank(invariant, x, {}, all, true);
    for (const int64_t row : {0, 7, 39}) {
      const auto alone = before.narrow(0, row, 1).clone();
      const std::vector<LowRankGroup> one{{&matrices, 0, 1}};
      add_low_rank(alone, x.narrow(0, row, 1), {}, one);
      EXPECT_TRUE(at::equal(bits(invariant.narrow(0, row, 1)), bits(alone))) << row;
    }
  }
}

// As an adapter's are kept there: B^T is a view of B.
LowRankMatrices on(const std::string& device, const LowRankMatrices& matrices) {
  LowRankMatrices result{matrices.a.to(device), matrices.parts};
  for (auto& part : result.parts) {
    part.b = part.b.t().contiguous().to(device).t();
    if (part.gain.defined()) part.gain = part.gain.to(device);
  }
  return result;
}

TEST(LowRank, OnAGpuGroupsAreTheTruthOrThePlainVersion) {
  at::manual_seed(3);
  for (const auto& device : test_devices()) {
    if (device == "cpu") continue;
    for (const auto type : kDtypes) {
      // Some have no whole eights of columns, which the kernels do not take.
      for (const auto& shape : kShapes) {
        for (const bool has_gains : {false, true}) {
          const auto one = random_matrices(shape, type, has_gains), other = random_matrices(shape, type, false);
          const auto own = on(device, one), own_other = on(device, other);
          const auto bias = has_gains ? at::randn({shape.out}).to(type) : at::Tensor();
          const int64_t rows = 80;
          const auto wide = at::randn({rows, shape.in + 8}).to(type), x = wide.narrow(1, 0, shape.in), before = at::randn({rows, shape.out}).to(type);
          // One row, more than a tile, rows of nobody, more than the kernels take.
          const std::vector<LowRankGroup> groups{{&own, 0, 1}, {&own_other, 1, 6}, {&own, 9, 65}};
          const auto out = before.to(device), own_x = wide.to(device).narrow(1, 0, shape.in), own_bias = has_gains ? bias.to(device) : bias;
          add_low_rank(out, own_x, own_bias, groups);
          for (const auto& [matrices, begin, count] : groups) {
            const auto of = [&](const at::Tensor& t) { return t.narrow(0, begin, count); };
            if (shape.in % 8 == 0 && count < 65) {
              const auto expected = exact(of(before), of(x), bias, matrices == &own ? one : other);
              expect_within(of(out.cpu()), expected.values, expected.allowed, device);
              // A row is what it is alone.
              const auto alone = before.narrow(0, begin, 1).to(device);
              const std::vector<LowRankGroup> first{{matrices, 0, 1}};
              add_low_rank(alone, own_x.narrow(0, begin, 1), own_bias, first);
              EXPECT_TRUE(at::equal(bits(alone.cpu()), bits(out.narrow(0, begin, 1).cpu())));
            } else {
              const auto plain = of(before).to(device);
              add_low_rank_reference(plain, of(own_x), own_bias, *matrices);
              EXPECT_TRUE(at::equal(bits(of(out).cpu()), bits(plain.cpu())));
            }
          }
          EXPECT_TRUE(at::equal(bits(out.cpu().narrow(0, 7, 2)), bits(before.narrow(0, 7, 2))));
        }
      }
    }
  }
}

TEST(LowRank, NumbersThatAreNoneStayWhereTheyAre) {
  for (const auto type : kDtypes) {
    const auto matrices = random_matrices({20, 40, {5}, {0}, {40}}, type, false);
    const auto x = at::zeros({5, 20}, type), out = at::ones({5, 40}, type);
    x[1].fill_(std::numeric_limits<double>::infinity());
    x[3].fill_(std::nan(""));
    const std::vector<LowRankGroup> all{{&matrices, 0, 5}};
    add_low_rank(out, x, {}, all);
    for (const int64_t row : {0, 2, 4}) EXPECT_TRUE(at::equal(out[row], at::ones({40}, type))) << row;
    EXPECT_FALSE(at::isfinite(out[1]).any().item<bool>());
    EXPECT_TRUE(at::isnan(out[3]).all().item<bool>());
  }
}

TEST(LowRank, ShapesThatDoNotMeetAreRefusedAtOnce) {
  const auto matrices = random_matrices(kShapes[0], at::kFloat, false);
  const auto x = at::zeros({3, 48}), out = at::zeros({3, 40});
  const auto problems = [&](const at::Tensor& own_out, const at::Tensor& own_x, LowRankGroup group) {
    try {
      add_low_rank(own_out, own_x, {}, std::span(&group, 1));
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
      return error.details().size();
    }
    return size_t{0};
  };
  EXPECT_EQ(problems(out, x, {&matrices, 0, 3}), 0u);
  EXPECT_EQ(problems(out, x, {&matrices, 1, 3}), 1u);
  EXPECT_EQ(problems(out, at::zeros({2, 48}), {&matrices, 0, 2}), 1u);
  EXPECT_EQ(problems(out, at::zeros({3, 47}), {&matrices, 0, 3}), 1u);
  EXPECT_EQ(problems(at::zeros({3, 39}), x, {&matrices, 0, 3}), 1u);
  EXPECT_EQ(problems(at::zeros({3, 40}, at::kBFloat16), x, {&matrices, 0, 3}), 1u);
  auto turned = matrices;
  turned.parts[0].b = turned.parts[0].b.t().contiguous().t();
  turned.parts[0].gain = at::ones({39});
  EXPECT_EQ(problems(out, x, {&turned, 0, 3}), 2u);
}

}  // namespace
}  // namespace facellm

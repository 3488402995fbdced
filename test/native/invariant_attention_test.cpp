// Attention of deterministic answers over a pool: rows of chunks against those of the whole, scattered slots, company, rows of nobody; the
// processor's own kernels where it has them (bf16, heads of 32), libtorch's for masks and for what is left.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <vector>

#include "layers/attention.h"
#include "layers/invariant_attention.h"

namespace facellm {
namespace {

constexpr int64_t kHeads = 6, kKvHeads = 2, kDim = 64, kSlots = 900, kTokens = 83;

// The tokens [begin, begin + count) of a row whose slots lie anywhere; slot 0 is of zeros.
Segment segment_of(const at::Tensor& slots, int64_t place, int64_t begin, int64_t count) {
  const int64_t length = begin + count, filled = (length + kKeyStretch - 1) / kKeyStretch * kKeyStretch;
  return {place, count, length, -1, at::constant_pad_nd(slots.narrow(0, 0, length), {0, filled - length}, 0), {}};
}

class InvariantAttention : public testing::TestWithParam<at::ScalarType> {};

TEST_P(InvariantAttention, ChunksAndCompanyChangeNoBitAndNobodysRowsAreZeros) {
  at::manual_seed(11);
  const auto options = at::TensorOptions(GetParam());
  auto keys = at::randn({kKvHeads, kSlots, kDim}, options), values = at::randn({kKvHeads, kSlots, kDim}, options);
  keys.select(1, 0).zero_(), values.select(1, 0).zero_();
  const auto q = at::randn({kHeads, kTokens, kDim}, options);
  const auto order = at::randperm(kSlots - 1, at::kLong) + 1;
  const auto own = order.narrow(0, 0, kTokens), other = order.narrow(0, kTokens, 700);
  const auto attend = [&](const at::Tensor& queries, std::vector<Segment> segments) {
    complete_invariant_masks(segments, kDim, options);
    return invariant_attention(queries, keys, values, segments);
  };
  const auto whole = attend(q, {segment_of(own, 0, 0, kTokens)});
  // Beside libtorch's, by one call over the row's keys: p and the result are rounded in both.
  const auto wide = [&](const at::Tensor& x) { return x.to(at::kDouble).unsqueeze(0); };
  const auto truth = attention(wide(q), wide(keys.index_select(1, own)), wide(values.index_select(1, own)), at::Tensor(), true)[0];
  const double step = GetParam() == at::kFloat ? 1e-5 : 0x1p-6;
  EXPECT_TRUE(at::allclose(whole.to(at::kDouble), truth, step, step));

  for (const int64_t begin : {0, 1, 30, 64, 82}) {
    for (const int64_t count : {1, 2, 13, 50}) {
      if (begin + count > kTokens) continue;
      // Behind a longer row's token, before two rows that fill up.
      const auto queries = at::cat({at::randn({kHeads, 1, kDim}, options), q.narrow(1, begin, count), at::randn({kHeads, 2, kDim}, options)}, 1);
      const auto out = attend(queries, {segment_of(other, 0, 699, 1), segment_of(own, 1, begin, count)});
      EXPECT_TRUE(at::equal(out.narrow(0, 1, count), whole.narrow(0, begin, count))) << begin << " " << count;
      EXPECT_EQ(out.narrow(0, 1 + count, 2).count_nonzero().item<int64_t>(), 0);
    }
  }
}

TEST_P(InvariantAttention, ATreesMaskIsHeldTo) {
  at::manual_seed(12);
  const auto options = at::TensorOptions(GetParam());
  const auto keys = at::randn({kKvHeads, kSlots, kDim}, options), values = at::randn({kKvHeads, kSlots, kDim}, options);
  const auto q = at::randn({kHeads, 3, kDim}, options);
  const auto slots = at::arange(1, 41, at::kLong);
  auto segment = segment_of(slots, 0, 37, 3);
  segment.mask = causal_mask(3, 40, at::kCPU);
  segment.mask[2][38] = false;  // a branch beside another
  std::vector<Segment> segments{segment};
  complete_invariant_masks(segments, kDim, options);
  const auto out = invariant_attention(q, keys, values, segments);
  const auto wide = [&](const at::Tensor& x) { return x.to(at::kDouble).unsqueeze(0); };
  const auto truth = attention(wide(q), wide(keys.index_select(1, slots)), wide(values.index_select(1, slots)), segment.mask, false)[0];
  const double step = GetParam() == at::kFloat ? 1e-5 : 0x1p-6;
  EXPECT_TRUE(at::allclose(out.to(at::kDouble), truth, step, step));
}

INSTANTIATE_TEST_SUITE_P(Dtypes, InvariantAttention, testing::Values(at::kFloat, at::kBFloat16),
                         [](const auto& each) { return c10::toString(each.param); });

}  // namespace
}  // namespace facellm

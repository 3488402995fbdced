// The most probable token and its log-probability beside fp64.
#include "generation/most_probable.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace facellm {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

TEST(MostProbable, IsTheTruthOfEveryRow) {
  at::manual_seed(1);
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    for (const int64_t vocab : {1, 5, 256, 2049, 151674}) {
      const auto logits = (at::randn({3, vocab}) * 4).to(type);
      const auto wide = logits.to(at::kDouble);
      const auto found = most_probable(logits);
      ASSERT_EQ(found.size(), 3u);
      for (int64_t r = 0; r < 3; ++r) {
        const auto& own = found[static_cast<size_t>(r)];
        EXPECT_TRUE(own.is_number);
        // bf16 has equals: libtorch's argmax takes the first, too.
        EXPECT_EQ(own.id, wide[r].argmax().item<int64_t>());
        // Exponentials within 2e-7, sums of 256 in fp32 in 8 chains, the result's own rounding.
        const double truth = (wide[r].max() - wide[r].logsumexp(0)).item<double>();
        EXPECT_NEAR(own.log_prob, truth, 2e-7 + 40 * 0x1p-24 + std::abs(truth) * 0x1p-24);
      }
      const auto alone = most_probable(logits.narrow(0, 1, 1));
      EXPECT_EQ(alone[0].id, found[1].id);
      EXPECT_EQ(alone[0].log_prob, found[1].log_prob);
    }
  }
}

TEST(MostProbable, TheLowestOfEqualsWhereverTheyStand) {
  const auto logits = at::zeros({1, 5000});
  EXPECT_EQ(most_probable(logits)[0].id, 0);
  logits[0][4999] = 1;
  logits[0][3000] = 1;
  EXPECT_EQ(most_probable(logits)[0].id, 3000);
}

TEST(MostProbable, WhatIsNoNumberIsTold) {
  for (const float value : {std::nanf(""), kInfinity}) {
    auto logits = at::zeros({2, 5000});
    logits[0][4321] = value;
    const auto found = most_probable(logits);
    EXPECT_FALSE(found[0].is_number);
    EXPECT_TRUE(found[1].is_number);
  }
  EXPECT_FALSE(most_probable(at::full({1, 300}, -kInfinity))[0].is_number);
  // What is forbidden is no damage, not even a whole piece of it.
  auto logits = at::full({1, 5000}, -kInfinity);
  logits[0][4000] = -3;
  const auto found = most_probable(logits)[0];
  EXPECT_TRUE(found.is_number);
  EXPECT_EQ(found.id, 4000);
  EXPECT_EQ(found.log_prob, 0);
}

}  // namespace
}  // namespace facellm

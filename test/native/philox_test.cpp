// Known answers of the paper's authors (Random123, kat_vectors), and what the sampler counts on.
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "core/philox.h"

namespace facellm {
namespace {

using Four = std::array<uint32_t, 4>;

TEST(Philox, GivesThePublishedAnswers) {
  constexpr uint32_t kOnes = 0xffffffff;
  EXPECT_EQ(philox({0, 0, 0, 0}, {0, 0}), (Four{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox({kOnes, kOnes, kOnes, kOnes}, {kOnes, kOnes}),
            (Four{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Four{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Philox, DrawsAreUniformAndEveryArgumentCounts) {
  std::set<double> draws;
  double sum = 0;
  const uint64_t far = uint64_t{1} << 40;
  for (const uint64_t seed : {uint64_t{0}, uint64_t{1}, far}) {
    for (uint32_t choice = 0; choice < 8; ++choice) {
      for (const uint64_t base : {uint64_t{0}, far}) {
        for (uint64_t position = 0; position < 50; ++position) {
          const double draw = uniform_draw(seed, choice, base + position);
          EXPECT_GE(draw, 0);
          EXPECT_LT(draw, 1);
          draws.insert(draw);
          sum += draw;
        }
      }
    }
  }
  EXPECT_EQ(draws.size(), 2400u);  // two of 2,400 numbers of 53 bits agree once in 3e9 tries
  // Five standard deviations of the mean of 2,400: the seeds are fixed.
  EXPECT_NEAR(sum / 2400, 0.5, 5 * 0.2887 / std::sqrt(2400));
}

}  // namespace
}  // namespace facellm

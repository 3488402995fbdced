#include "caught.h"
#include "cross_entropy_check.h"
#include "kernels/cross_entropy/cross_entropy_cuda.h"

namespace facellm {
namespace {

void expect_equal(const Comparison& comparison) {
  EXPECT_GT(comparison.elements, 0);
  EXPECT_EQ(comparison.different, 0) << comparison.first;
}

TEST(CrossEntropyOnCpu, IsTheTruthWithinItsRoundings) {
  cuda_on_cpu::in_all_orders([] { expect_equal(check_cross_entropy_shapes(cross_entropy_cuda)); });
}

// As the host refuses it beforehand, where it can.
TEST(CrossEntropyOnCpu, ALabelOutsideIsNoLoss) {
  cuda_on_cpu::Buffer<float> logits(8, "logits"), losses(2, "losses");
  cuda_on_cpu::Buffer<int64_t> labels(2, "labels");
  std::fill(logits.begin(), logits.end(), 1.f);
  labels[0] = 4;
  labels[1] = -1;
  cross_entropy_cuda(logits.data(), labels.data(), nullptr, losses.data(), 2, 4, false, nullptr);
  EXPECT_TRUE(std::isnan(losses[0]) && std::isnan(losses[1]));
}

// Infinities and what is no number show in the loss, and nowhere else.
TEST(CrossEntropyOnCpu, WhatIsNoNumber) {
  cuda_on_cpu::Buffer<float> logits(3000, "logits"), losses(3, "losses");
  cuda_on_cpu::Buffer<int64_t> labels(3, "labels");
  std::fill(logits.begin(), logits.end(), 0.f);
  std::fill(labels.begin(), labels.end(), 1);
  logits[999] = NAN;
  for (int64_t i = 1000; i < 2000; ++i) logits[i] = -INFINITY;
  logits[1001] = 3.f;
  logits[2500] = INFINITY;
  cross_entropy_cuda(logits.data(), labels.data(), nullptr, losses.data(), 3, 1000, false, nullptr);
  EXPECT_TRUE(std::isnan(losses[0]));
  EXPECT_EQ(losses[1], 0.f);
  EXPECT_FALSE(std::isfinite(losses[2]));
}

}  // namespace
}  // namespace facellm

// Losses of whole answers' probabilities: values by hand, gradients by finite differences.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "devices.h"
#include "training/answer_loss.h"

namespace facellm {
namespace {

std::vector<AnswerSet> sets() {
  return {{0, 3, AnswerObjective::kExpectedReward, 1.5, 0.3, {1, 0.5, 0}, {-2, -1, -3}},
          {3, 2, AnswerObjective::kExpectedReward, 0.5, 0, {1, 0}, {}},
          {6, 2, AnswerObjective::kPreference, 2, 0.1, {}, {-9, -8}}};
}

at::Tensor log_probs() { return at::tensor({-1.0, -2.5, -0.5, -3.0, -1.0, -4.0, -7.0, -12.0}, at::kDouble); }

double by_hand() {
  const auto probabilities = [](std::vector<double> scores) {
    double sum = 0;
    for (auto& score : scores) sum += score = std::exp(score);
    for (auto& score : scores) score /= sum;
    return scores;
  };
  const auto p = probabilities({-1, -2.5, -0.5}), s = probabilities({-2, -1, -3}), q = probabilities({-3, -1});
  double first = 0;
  const double rewards[] = {1, 0.5, 0};
  for (size_t i = 0; i < 3; ++i) first += p[i] * (0.3 * std::log(p[i] / s[i]) - rewards[i]);
  const double margin = 0.1 * ((-7.0 + 9) - (-12.0 + 8));
  return (1.5 * first - 0.5 * q[0] + 2 * std::log(1 + std::exp(-margin))) / 4;
}

TEST(AnswerLoss, ValueByHand) {
  for (const auto& device : test_devices()) {
    const auto result = answer_loss(sets(), log_probs().to(at::Device(device)), 4);
    EXPECT_NEAR(result.loss.item<double>(), by_hand(), 1e-14) << device;
  }
}

TEST(AnswerLoss, GradientsAreFiniteDifferences) {
  const auto gradients = answer_loss(sets(), log_probs(), 4).gradients;
  constexpr double kStep = 1e-5;
  for (int64_t i = 0; i < log_probs().size(0); ++i) {
    const auto value = [&](double by) {
      auto moved = log_probs();
      moved[i] += by;
      return answer_loss(sets(), moved, 4).loss.item<double>();
    };
    // Third derivatives of order one times the step's square; roundings of 2^-53 over the step.
    EXPECT_NEAR(gradients[i].item<double>(), (value(kStep) - value(-kStep)) / (2 * kStep), 1e-9) << i;
  }
  EXPECT_EQ(gradients[5].item<double>(), 0) << "a sample in no set";
}

TEST(AnswerLoss, WhatIsWrongIsToldAllAtOnce) {
  MicroBatch batch{};
  batch.samples.resize(3);
  batch.answer_sets = {{2, 2, AnswerObjective::kExpectedReward, 1, 0, {1, 0}, {}},
                       {0, 3, AnswerObjective::kPreference, 1, 0.1, {}, {-1, -1, -1}},
                       {0, 2, AnswerObjective::kExpectedReward, 1, 0.1, {1}, {}}};
  std::vector<std::string> problems;
  check_answer_sets(batch, problems);
  EXPECT_EQ(problems.size(), 5u) << ::testing::PrintToString(problems);
}

}  // namespace
}  // namespace facellm

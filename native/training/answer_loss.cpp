#include "training/answer_loss.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace facellm {
namespace {

// Sets of one objective as matrices [sets, answers of the largest], filled up behind a set's own answers.
struct Matrices {
  at::Tensor places;     // of the answers among the samples; of what is filled up, one behind the last
  at::Tensor rewards;    // 0 where there are none
  at::Tensor start;      // -infinity where filled up
  at::Tensor weights;    // [sets, 1], divided by the denominator
  at::Tensor strengths;  // [sets, 1]

  Matrices(const std::vector<const AnswerSet*>& sets, int64_t samples, double denominator, at::Device device) {
    int64_t most = 0;
    for (const auto* set : sets) most = std::max(most, set->count);
    std::vector<double> own_places, own_rewards, own_start, own_weights, own_strengths;
    const double never = -std::numeric_limits<double>::infinity();
    for (const auto* set : sets) {
      for (int64_t i = 0; i < most; ++i) {
        const auto index = static_cast<size_t>(i);
        const bool is_own = i < set->count;
        own_places.push_back(static_cast<double>(is_own ? set->first + i : samples));
        own_rewards.push_back(is_own && !set->rewards.empty() ? set->rewards[index] : 0);
        own_start.push_back(!is_own ? never : set->start_log_probs.empty() ? 0 : set->start_log_probs[index]);
      }
      own_weights.push_back(set->weight / denominator);
      own_strengths.push_back(set->strength);
    }
    // One transfer: places are exact in fp64, too.
    const auto count = static_cast<int64_t>(sets.size());
    auto host = at::empty({count * (3 * most + 2)}, at::TensorOptions(at::kDouble).pinned_memory(device.is_cuda()));
    auto* next = host.mutable_data_ptr<double>();
    for (const auto* values : {&own_places, &own_rewards, &own_start, &own_weights, &own_strengths}) {
      next = std::copy(values->begin(), values->end(), next);
    }
    const auto sent = host.to(device, /*non_blocking=*/true).split_with_sizes({count * most, count * most, count * most, count, count});
    const auto matrix = [&](size_t i) { return sent[i].view({count, -1}); };
    places = matrix(0).to(at::kLong);
    rewards = matrix(1);
    start = matrix(2);
    weights = matrix(3);
    strengths = matrix(4);
  }
};

// What is filled up has probability 0 in both, and so no part in the sums.
AnswerLoss expected_reward(const Matrices& m, const at::Tensor& log_probs) {
  const auto own = at::log_softmax(log_probs, 1), probabilities = own.exp();
  const auto from_start = (own - at::log_softmax(m.start, 1)).nan_to_num(0.0);
  const auto costs = m.strengths * from_start - m.rewards;
  const auto mean = (probabilities * costs).sum(1, true);
  // The derivative of log p_i within the mean is zero: probabilities add up to 1.
  return {(m.weights * mean).sum(), m.weights * probabilities * (costs - mean)};
}

AnswerLoss preference(const Matrices& m, const at::Tensor& log_probs) {
  const auto gain = log_probs - m.start;
  const auto margin = m.strengths * (gain.narrow(1, 0, 1) - gain.narrow(1, 1, 1));
  const auto pull = m.weights * m.strengths * at::sigmoid(-margin);
  return {-(m.weights * at::log_sigmoid(margin)).sum(), at::cat({-pull, pull}, 1)};
}

}  // namespace

AnswerLoss answer_loss(const std::vector<AnswerSet>& sets, const at::Tensor& log_probs, double denominator) {
  AnswerLoss result{at::zeros({}, log_probs.options()), at::zeros({log_probs.size(0) + 1}, log_probs.options())};
  const auto filled = at::constant_pad_nd(log_probs, {0, 1}, -std::numeric_limits<double>::infinity());
  for (const auto objective : {AnswerObjective::kExpectedReward, AnswerObjective::kPreference}) {
    std::vector<const AnswerSet*> own;
    for (const auto& set : sets) {
      if (set.objective == objective) own.push_back(&set);
    }
    if (own.empty()) continue;
    const Matrices matrices(own, log_probs.size(0), denominator, log_probs.device());
    const auto scores = filled.take(matrices.places);
    const auto part = objective == AnswerObjective::kPreference ? preference(matrices, scores) : expected_reward(matrices, scores);
    result.loss = result.loss + part.loss;
    result.gradients.index_add_(0, matrices.places.flatten(), part.gradients.flatten());
  }
  result.gradients = result.gradients.narrow(0, 0, log_probs.size(0));
  return result;
}

void check_answer_sets(const MicroBatch& batch, std::vector<std::string>& problems) {
  const auto samples = static_cast<int64_t>(batch.samples.size());
  const auto all_finite = [](const std::vector<double>& values) {
    return std::all_of(values.begin(), values.end(), [](double value) { return std::isfinite(value); });
  };
  for (size_t i = 0; i < batch.answer_sets.size(); ++i) {
    const auto& set = batch.answer_sets[i];
    const bool is_preference = set.objective == AnswerObjective::kPreference;
    const auto count = static_cast<size_t>(set.count);
    const auto expect = [&](bool holds, const std::string& what) {
      if (!holds) problems.push_back("answerSets[" + std::to_string(i) + "]: expected " + what);
    };
    expect(set.first >= 0 && set.first + set.count <= samples, "answers among the samples");
    expect(is_preference ? set.count == 2 : set.count >= 2, is_preference ? "two answers" : "at least two answers");
    expect(is_preference ? set.rewards.empty() : set.rewards.size() == count, is_preference ? "no rewards" : "a reward of each answer");
    expect(set.start_log_probs.size() == count || (set.start_log_probs.empty() && set.strength == 0),
           "the start model's log-probability of each answer");
    expect(set.weight > 0 && std::isfinite(set.weight) && set.strength >= 0 && std::isfinite(set.strength), "weights that are finite numbers");
    expect(all_finite(set.rewards) && all_finite(set.start_log_probs), "finite numbers");
  }
  if (!batch.answer_sets.empty() && !(batch.answers_denominator > 0)) {
    problems.push_back("answersDenominator: expected a number above 0");
  }
}

}  // namespace facellm

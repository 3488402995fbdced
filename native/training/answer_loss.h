// Losses of whole answers' probabilities (AnswerSet, trainer.h): values, and gradients in closed form.
#pragma once

#include <ATen/ATen.h>

#include <string>
#include <vector>

#include "training/trainer.h"

namespace facellm {

struct AnswerLoss {
  at::Tensor loss;       // scalar: the sets' weighted losses together, divided by the denominator
  at::Tensor gradients;  // [N] of that, in every sample's log-probability; 0 for those in no set
};

// log_probs: fp64 [N], of each sample its learnt tokens' together. Everything stays on their device.
AnswerLoss answer_loss(const std::vector<AnswerSet>& sets, const at::Tensor& log_probs, double denominator);

// Appends what is wrong with the batch's answer sets.
void check_answer_sets(const MicroBatch& batch, std::vector<std::string>& problems);

}  // namespace facellm

#include "training/optimizer.h"

#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>

namespace facellm {

AdamW::AdamW(ParameterList parameters, const AdamWOptions& options)
    : parameters_(std::move(parameters)), options_(options) {
  const c10::NoGradGuard no_grad;
  Group decayed{options.weight_decay, {}}, plain{0.0, {}};
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const auto& value = parameters_[i].second;
    masters_.push_back(value.scalar_type() == at::kFloat ? value.detach()
                                                         : value.detach().to(at::kFloat));
    exp_avgs_.push_back(at::zeros_like(masters_.back()));
    exp_avg_sqs_.push_back(at::zeros_like(masters_.back()));
    steps_.push_back(at::zeros({}, masters_.back().options()));
    (options.decays_vectors || value.dim() > 1 ? decayed : plain).members.push_back(i);
  }
  for (auto* group : {&decayed, &plain}) {
    if (!group->members.empty()) groups_.push_back(std::move(*group));
  }
}

double AdamW::gradient_norm() const {
  const c10::NoGradGuard no_grad;
  std::vector<at::Tensor> norms;
  for (const auto& [name, value] : parameters_) {
    if (value.grad().defined()) {
      norms.push_back(at::linalg_vector_norm(value.grad(), 2, std::nullopt, false, at::kFloat));
    }
  }
  return norms.empty() ? 0.0 : at::linalg_vector_norm(at::stack(norms), 2).item<double>();
}

void AdamW::step(double learning_rate, double gradient_norm, double max_norm) {
  const c10::NoGradGuard no_grad;
  const double factor = max_norm > 0 ? std::min(1.0, max_norm / (gradient_norm + 1e-6)) : 1.0;
  ++updates_;
  for (const auto& group : groups_) {
    std::vector<at::Tensor> values, grads, averages, squares, steps;
    for (const size_t i : group.members) {
      const auto& grad = parameters_[i].second.grad();
      if (!grad.defined()) continue;  // torch.optim leaves such a tensor alone, too
      const auto wide = grad.scalar_type() == at::kFloat ? grad : grad.to(at::kFloat);
      grads.push_back(factor < 1.0 ? at::Tensor(wide).mul_(factor) : wide);
      values.push_back(masters_[i]);
      averages.push_back(exp_avgs_[i]);
      squares.push_back(exp_avg_sqs_[i]);
      steps_[i].fill_(static_cast<double>(updates_));
      steps.push_back(steps_[i]);
    }
    if (values.empty()) continue;
    at::_fused_adamw_(values, grads, averages, squares, {}, steps, learning_rate, options_.beta1,
                      options_.beta2, group.weight_decay, options_.eps, /*amsgrad=*/false,
                      /*maximize=*/false);
  }
  for (size_t i = 0; i < parameters_.size(); ++i) {
    auto value = parameters_[i].second.detach();
    if (value.scalar_type() != at::kFloat) value.copy_(masters_[i]);
  }
  clear_gradients();
}

void AdamW::clear_gradients() {
  for (auto& [name, value] : parameters_) value.mutable_grad() = at::Tensor();
}

ParameterList AdamW::state() const {
  ParameterList list;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const auto& [name, value] = parameters_[i];
    list.emplace_back(name + ".exp_avg", exp_avgs_[i]);
    list.emplace_back(name + ".exp_avg_sq", exp_avg_sqs_[i]);
    if (value.scalar_type() != at::kFloat) list.emplace_back(name + ".master", masters_[i]);
  }
  return list;
}

void AdamW::restored(int64_t updates) { updates_ = updates; }

void adamw_reference(at::Tensor& parameter, const at::Tensor& gradient, at::Tensor& exp_avg,
                     at::Tensor& exp_avg_sq, int64_t step, double learning_rate,
                     double weight_decay, const AdamWOptions& options) {
  parameter.mul_(1 - learning_rate * weight_decay);
  exp_avg.mul_(options.beta1).add_(gradient, 1 - options.beta1);
  exp_avg_sq.mul_(options.beta2).addcmul_(gradient, gradient, 1 - options.beta2);
  const double correction1 = 1 - std::pow(options.beta1, static_cast<double>(step));
  const double correction2 = 1 - std::pow(options.beta2, static_cast<double>(step));
  const auto denominator = exp_avg_sq.sqrt().div_(std::sqrt(correction2)).add_(options.eps);
  parameter.addcdiv_(exp_avg, denominator, -learning_rate / correction1);
}

}  // namespace facellm

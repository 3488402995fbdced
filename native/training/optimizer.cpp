#include "training/optimizer.h"

#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>
#include <map>

namespace facellm {
namespace {

// Replaces those of less than fp32 by fp32 copies.
void widen(std::vector<at::Tensor>& tensors) {
  std::vector<at::Tensor> narrow, wide;
  for (auto& tensor : tensors) {
    if (tensor.scalar_type() == at::kFloat) continue;
    narrow.push_back(tensor);
    tensor = at::empty_like(tensor, at::kFloat);
    wide.push_back(tensor);
  }
  if (!wide.empty()) at::_foreach_copy_(wide, narrow);
}

}  // namespace

AdamW::AdamW(ParameterList parameters, const std::vector<double>& rates, const AdamWOptions& options)
    : parameters_(std::move(parameters)), options_(options) {
  const c10::NoGradGuard no_grad;
  std::map<std::pair<double, double>, std::vector<size_t>> groups;  // by weight decay and rate
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const auto& value = parameters_[i].second;
    masters_.push_back(value.scalar_type() == at::kFloat ? value.detach()
                                                         : value.detach().to(at::kFloat));
    exp_avgs_.push_back(at::zeros_like(masters_.back()));
    exp_avg_sqs_.push_back(at::zeros_like(masters_.back()));
    groups[{options.decays_vectors || value.dim() > 1 ? options.weight_decay : 0.0, rates[i]}].push_back(i);
  }
  if (!masters_.empty()) step_ = at::zeros({}, masters_[0].options());
  for (auto& [key, members] : groups) groups_.push_back({key.first, key.second, std::move(members)});
}

double AdamW::gradient_norm() const {
  const c10::NoGradGuard no_grad;
  std::vector<at::Tensor> grads;
  for (const auto& [name, value] : parameters_) {
    if (value.grad().defined()) grads.push_back(value.grad());
  }
  if (grads.empty()) return 0.0;
  return at::linalg_vector_norm(at::stack(at::_foreach_norm(grads, 2, at::kFloat)), 2).item<double>();
}

void AdamW::step(double learning_rate, double gradient_norm, double max_norm) {
  const c10::NoGradGuard no_grad;
  const double factor = max_norm > 0 ? std::min(1.0, max_norm / (gradient_norm + 1e-6)) : 1.0;
  step_.fill_(static_cast<double>(++updates_));
  for (const auto& group : groups_) {
    std::vector<at::Tensor> values, grads, averages, squares;
    for (const size_t i : group.members) {
      const auto& grad = parameters_[i].second.grad();
      if (!grad.defined()) continue;  // torch.optim leaves such a tensor alone, too
      grads.push_back(grad);
      values.push_back(masters_[i]);
      averages.push_back(exp_avgs_[i]);
      squares.push_back(exp_avg_sqs_[i]);
    }
    if (values.empty()) continue;
    widen(grads);
    if (factor < 1.0) at::_foreach_mul_(grads, factor);
    const std::vector<at::Tensor> steps(values.size(), step_);
    at::_fused_adamw_(values, grads, averages, squares, {}, steps, learning_rate * group.rate, options_.beta1,
                      options_.beta2, group.weight_decay, options_.eps, /*amsgrad=*/false,
                      /*maximize=*/false);
  }
  std::vector<at::Tensor> narrow, masters;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    if (parameters_[i].second.scalar_type() == at::kFloat) continue;
    narrow.push_back(parameters_[i].second.detach());
    masters.push_back(masters_[i]);
  }
  if (!narrow.empty()) at::_foreach_copy_(narrow, masters);
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

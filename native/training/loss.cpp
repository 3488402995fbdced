#include "training/loss.h"

#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <optional>

#include "kernels/cross_entropy/cross_entropy.h"
#include "kernels/product/product.h"

namespace facellm {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct Gradients {
  at::Tensor loss, hidden, weight;
};

Gradients run(const at::Tensor& hidden, const at::Tensor& weight, const at::Tensor& labels,
              const at::Tensor& row_weights, double denominator, int64_t chunk_rows,
              bool needs_hidden, bool needs_weight) {
  const int64_t rows = hidden.size(0);
  const int64_t chunk = chunk_rows > 0 ? chunk_rows : std::max<int64_t>(rows, 1);
  Gradients result;
  const auto wide_options = hidden.options().dtype(hidden.scalar_type() == at::kDouble ? at::kDouble : at::kFloat);
  const auto scales = row_weights.defined() ? row_weights.to(wide_options.dtype()) / denominator : at::full({rows}, 1 / denominator, wide_options);
  result.loss = at::zeros({}, wide_options);
  if (needs_hidden) result.hidden = at::empty_like(hidden);
  // Sums over chunks in fp32: many small additions.
  if (needs_weight) result.weight = at::zeros(weight.sizes(), wide_options);
  for (int64_t begin = 0; begin < rows; begin += chunk) {
    const int64_t count = std::min(chunk, rows - begin);
    const auto own = hidden.narrow(0, begin, count), own_labels = labels.narrow(0, begin, count), own_scales = scales.narrow(0, begin, count);
    const auto logits = linear_product(own, weight);  // [chunk, V]; then their gradient
    const bool is_loss_alone = !needs_hidden && !needs_weight;
    const auto losses = is_loss_alone ? cross_entropy(logits, own_labels) : cross_entropy_backward_(logits, own_labels, own_scales);
    result.loss.add_(losses.dot(own_scales));
    if (needs_hidden) result.hidden.narrow(0, begin, count).copy_(product(logits, weight));
    if (needs_weight) result.weight.add_(product(logits.t(), own));
  }
  return result;
}

struct ChunkedLossFunction : torch::autograd::Function<ChunkedLossFunction> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& hidden,
                            const at::Tensor& weight, const at::Tensor& labels,
                            const std::optional<at::Tensor>& row_weights, double denominator,
                            int64_t chunk_rows) {
    const auto result = run(hidden, weight, labels, row_weights.value_or(at::Tensor()), denominator,
                            chunk_rows,
                            hidden.requires_grad(), weight.requires_grad());
    context->saved_data["hidden"] = result.hidden;
    context->saved_data["weight"] = result.weight;
    context->saved_data["weight_type"] = static_cast<int64_t>(weight.scalar_type());
    return result.loss;
  }

  static variable_list backward(AutogradContext* context, variable_list grads) {
    at::Tensor dhidden, dweight;
    if (context->saved_data["hidden"].isTensor()) {
      const auto hidden = context->saved_data["hidden"].toTensor();
      if (hidden.defined()) dhidden = hidden * grads[0].to(hidden.scalar_type());
    }
    if (context->saved_data["weight"].isTensor()) {
      const auto weight = context->saved_data["weight"].toTensor();
      const auto type = static_cast<at::ScalarType>(context->saved_data["weight_type"].toInt());
      if (weight.defined()) dweight = (weight * grads[0]).to(type);
    }
    return {dhidden, dweight, at::Tensor(), at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

}  // namespace

at::Tensor linear_cross_entropy(const at::Tensor& hidden, const at::Tensor& weight,
                                const at::Tensor& labels, const at::Tensor& row_weights,
                                double denominator, int64_t chunk_rows) {
  if (!c10::GradMode::is_enabled()) {
    return run(hidden, weight, labels, row_weights, denominator, chunk_rows, false, false).loss;
  }
  // Autograd takes no undefined tensor, but an absent one.
  const auto own = row_weights.defined() ? std::optional(row_weights) : std::nullopt;
  return ChunkedLossFunction::apply(hidden, weight, labels, own, denominator, chunk_rows);
}

at::Tensor row_cross_entropy(const at::Tensor& hidden, const at::Tensor& weight, const at::Tensor& labels,
                             int64_t chunk_rows) {
  const c10::NoGradGuard no_grad;
  const int64_t rows = hidden.size(0);
  const int64_t chunk = chunk_rows > 0 ? chunk_rows : std::max<int64_t>(rows, 1);
  std::vector<at::Tensor> losses;
  for (int64_t begin = 0; begin < rows; begin += chunk) {
    const int64_t count = std::min(chunk, rows - begin);
    losses.push_back(cross_entropy(linear_product(hidden.narrow(0, begin, count), weight), labels.narrow(0, begin, count)));
  }
  return losses.empty() ? at::zeros({0}, hidden.options().dtype(at::kFloat)) : at::cat(losses);
}

at::Tensor linear_cross_entropy_reference(const at::Tensor& hidden, const at::Tensor& weight,
                                          const at::Tensor& labels, const at::Tensor& row_weights,
                                          double denominator) {
  const auto own = at::linear(hidden, weight), logits = own.scalar_type() == at::kDouble ? own : own.to(at::kFloat);
  const auto losses = at::nll_loss(at::log_softmax(logits, 1), labels, {}, at::Reduction::None);
  return (row_weights.defined() ? losses * row_weights : losses).sum() / denominator;
}

}  // namespace facellm

#include <torch/csrc/autograd/custom_function.h>

#include "kernels/add_rms_norm/add_rms_norm.h"

namespace facellm {
namespace {

struct AddRmsNormFunction : torch::autograd::Function<AddRmsNormFunction> {
  static torch::autograd::variable_list forward(torch::autograd::AutogradContext* context,
                                                const at::Tensor& residual,
                                                const std::optional<at::Tensor>& delta,
                                                const at::Tensor& weight, double eps) {
    const auto [sum, normalised] = add_rms_norm(residual, delta.value_or(at::Tensor()), weight, eps);
    context->save_for_backward({sum, weight});
    context->saved_data["has_delta"] = delta.has_value();
    context->saved_data["eps"] = eps;
    // Where an output is unused, its gradient stays undefined: no zeros are made, read and added.
    context->set_materialize_grads(false);
    // An output must not be an input: autograd would take it for a change in place.
    return {delta ? sum : sum.view_as(sum), normalised};
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list grads) {
    const auto saved = context->get_saved_variables();
    const auto &sum = saved[0], &weight = saved[1];
    const double eps = context->saved_data["eps"].toDouble();
    at::Tensor dx = grads[0], dweight;
    if (grads[1].defined()) {
      dx = add_rms_norm_backward(sum, weight, grads[1], grads[0], eps);
      if (weight.requires_grad()) dweight = add_rms_norm_weight_backward(sum, grads[1], eps);
    }
    return {dx, context->saved_data["has_delta"].toBool() ? dx : at::Tensor(), dweight, at::Tensor()};
  }
};

}  // namespace

AddRmsNorm add_rms_norm_autograd(const at::Tensor& residual, const at::Tensor& delta,
                                 const at::Tensor& weight, double eps) {
  // Autograd's functions take no undefined tensor.
  const auto optional_delta = delta.defined() ? std::make_optional(delta) : std::nullopt;
  const auto outputs = AddRmsNormFunction::apply(residual, optional_delta, weight, eps);
  return {outputs[0], outputs[1]};
}

}  // namespace facellm

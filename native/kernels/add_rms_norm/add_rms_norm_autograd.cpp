// Backward of x' = residual + delta, y = w * x' * r, r = (mean(x'^2) + eps)^-1/2, with g = dy * w:
//   dx' = r * (g - xhat * mean(g * xhat)) + gradient of x' itself,  xhat = x' * r,  dw = sum(dy * xhat).
#include <torch/csrc/autograd/custom_function.h>

#include "kernels/add_rms_norm/add_rms_norm.h"

namespace facellm {
namespace {

at::Tensor wide(const at::Tensor& x) {
  return x.scalar_type() == at::kDouble ? x : x.to(at::kFloat);
}

struct Function : torch::autograd::Function<Function> {
  static torch::autograd::variable_list forward(torch::autograd::AutogradContext* context,
                                                const at::Tensor& residual,
                                                const std::optional<at::Tensor>& delta,
                                                const at::Tensor& weight, double eps) {
    const auto sum = delta ? residual + *delta : residual;
    const auto x = wide(sum);
    const auto scale = at::rsqrt(x.pow(2).mean(-1, /*keepdim=*/true) + eps);
    const auto normalised = (x * scale).to(sum.scalar_type()) * weight;
    context->save_for_backward({sum, scale, weight});
    context->saved_data["has_delta"] = delta.has_value();
    // An output must not be an input: autograd would take it for a change in place.
    return {delta ? sum : sum.view_as(sum), normalised};
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list grads) {
    const auto saved = context->get_saved_variables();
    const auto &sum = saved[0], &scale = saved[1], &weight = saved[2];
    at::Tensor dx, dweight;
    if (grads[1].defined()) {
      const auto dy = wide(grads[1]);
      const auto normalised = wide(sum).mul_(scale);
      if (weight.requires_grad()) {
        dweight = (dy * normalised).flatten(0, -2).sum(0).to(weight.scalar_type());
      }
      const auto g = dy * wide(weight);
      const auto mean = (g * normalised).mean(-1, /*keepdim=*/true);
      dx = g.sub_(at::Tensor(normalised).mul_(mean)).mul_(scale).to(sum.scalar_type());
    }
    if (grads[0].defined()) dx = dx.defined() ? dx.add_(grads[0]) : grads[0];
    return {dx, context->saved_data["has_delta"].toBool() ? dx : at::Tensor(), dweight, at::Tensor()};
  }
};

}  // namespace

AddRmsNorm add_rms_norm_autograd(const at::Tensor& residual, const at::Tensor& delta,
                                 const at::Tensor& weight, double eps) {
  // Autograd's functions take no undefined tensor.
  const auto optional_delta = delta.defined() ? std::make_optional(delta) : std::nullopt;
  const auto outputs = Function::apply(residual, optional_delta, weight, eps);
  return {outputs[0], outputs[1]};
}

}  // namespace facellm

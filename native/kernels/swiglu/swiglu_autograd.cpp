// y = silu(g) * u:  dg = dy * u * s * (1 + g * (1 - s)) with s = sigmoid(g),  du = dy * silu(g).
#include <torch/csrc/autograd/custom_function.h>

#include "kernels/swiglu/swiglu.h"

namespace facellm {
namespace {

struct Function : torch::autograd::Function<Function> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& gate_up) {
    context->save_for_backward({gate_up});
    return swiglu_reference(gate_up);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list grads) {
    const auto gate_up = context->get_saved_variables()[0];
    const auto halves = gate_up.chunk(2, -1);
    const auto out = at::empty_like(gate_up);
    const auto targets = out.chunk(2, -1);
    at::Tensor of_gate = targets[0], of_up = targets[1];
    // In the places of the result: no others are as large.
    at::silu_out(of_up, halves[0]).mul_(grads[0]);
    at::mul_out(of_gate, grads[0], halves[1]);
    at::silu_backward_out(of_gate, of_gate, halves[0]);
    return {out};
  }
};

}  // namespace

at::Tensor swiglu_autograd(const at::Tensor& gate_up) { return Function::apply(gate_up); }

}  // namespace facellm

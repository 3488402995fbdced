#include <torch/csrc/autograd/custom_function.h>

#include "kernels/swiglu/swiglu.h"

namespace facellm {
namespace {

struct SwiGluFunction : torch::autograd::Function<SwiGluFunction> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& gate_up) {
    context->save_for_backward({gate_up});
    return swiglu(gate_up);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list grads) {
    return {swiglu_backward(context->get_saved_variables()[0], grads[0])};
  }
};

}  // namespace

at::Tensor swiglu_autograd(const at::Tensor& gate_up) { return SwiGluFunction::apply(gate_up); }

}  // namespace facellm

#include "training/activation_checkpoint.h"

#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

namespace facellm {
namespace {

using Layer = std::function<at::Tensor(const at::Tensor&)>;

struct Held : torch::CustomClassHolder {
  explicit Held(Layer held) : layer(std::move(held)) {}
  Layer layer;
};

struct RecomputingFunction : torch::autograd::Function<RecomputingFunction> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& input,
                            const at::Tensor& anchor, const Layer& layer) {
    context->save_for_backward({input});
    context->saved_data["layer"] =
        c10::IValue::make_capsule(c10::make_intrusive<Held>(layer));
    return layer(input);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list grads) {
    const auto saved = context->get_saved_variables()[0];
    const auto held = c10::static_intrusive_pointer_cast<Held>(context->saved_data["layer"].toCapsule());
    const auto input = saved.detach().set_requires_grad(saved.requires_grad());
    at::Tensor output;
    {
      const c10::AutoGradMode grad_mode(true);
      output = held->layer(input);
    }
    torch::autograd::backward({output}, {grads[0]});
    return {input.grad(), at::Tensor(), at::Tensor()};
  }
};

}  // namespace

at::Tensor checkpointed(const Layer& layer, const at::Tensor& input, const at::Tensor& anchor) {
  return c10::GradMode::is_enabled() ? RecomputingFunction::apply(input, anchor, layer) : layer(input);
}

}  // namespace facellm

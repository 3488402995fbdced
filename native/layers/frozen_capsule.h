// A frozen weight in what autograd keeps for a backward pass: no copy, and alive as long as the graph.
#pragma once

#include <torch/csrc/autograd/custom_function.h>

#include <memory>
#include <utility>

#include "layers/frozen_weight.h"

namespace facellm {

struct FrozenCapsule : torch::CustomClassHolder {
  explicit FrozenCapsule(std::shared_ptr<const FrozenWeight> held) : weight(std::move(held)) {}
  std::shared_ptr<const FrozenWeight> weight;

  static void keep(torch::autograd::AutogradContext* context, const std::shared_ptr<const FrozenWeight>& weight) {
    if (weight) context->saved_data["frozen"] = c10::IValue::make_capsule(c10::make_intrusive<FrozenCapsule>(weight));
  }
  // Null where none was kept.
  static std::shared_ptr<const FrozenWeight> kept(torch::autograd::AutogradContext* context) {
    const auto found = context->saved_data.find("frozen");
    if (found == context->saved_data.end()) return nullptr;
    return c10::static_intrusive_pointer_cast<FrozenCapsule>(found->second.toCapsule())->weight;
  }
};

}  // namespace facellm

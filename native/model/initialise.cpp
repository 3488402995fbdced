#include "model/initialise.h"

#include <ATen/CPUGeneratorImpl.h>
#include <c10/core/GradMode.h>

#include <cmath>
#include <string_view>

namespace facellm {
namespace {

// Half of what patches are at first. At the usual 0.02 attention cannot tell places apart until they have grown.
constexpr double kPositionDeviation = 0.5;
constexpr double kClassTokenDeviation = 0.02;

bool ends_branch(std::string_view name) {
  return name.ends_with("o_proj.weight") || name.ends_with("down_proj.weight") ||
         name.ends_with("projection_layer.weight") || name.ends_with("mlp.fc2.weight");
}

}  // namespace

void initialise(const InternVl& model, uint64_t seed) {
  const c10::NoGradGuard no_grad;
  auto generator = at::detail::createCPUGenerator(seed);
  const auto draw = [&](at::Tensor target, double deviation) {
    target.copy_(at::empty(target.sizes(), at::kFloat).normal_(0, deviation, generator));
  };
  for (const auto& [name, parameter] : model.parameters()) {
    at::Tensor target = parameter;
    if (name.ends_with("position_embeddings")) {
      draw(target, kPositionDeviation);
    } else if (name.ends_with("cls_token")) {
      draw(target, kClassTokenDeviation);
    } else if (target.dim() > 1) {
      double variance = static_cast<double>(target.size(0)) / static_cast<double>(target.numel());
      if (ends_branch(name)) {
        const auto layers = name.starts_with("vision_tower.") ? model.config().vision.num_hidden_layers
                                                              : model.config().text.num_hidden_layers;
        variance /= 2.0 * static_cast<double>(layers);
      }
      draw(target, std::sqrt(variance));
    } else {
      target.fill_(name.ends_with(".bias") ? 0 : 1);
    }
  }
}

}  // namespace facellm

#include "model/random_checkpoint.h"

#include <ATen/CPUGeneratorImpl.h>
#include <c10/core/GradMode.h>

#include <cmath>
#include <string_view>
#include <utility>

#include "checkpoint/safetensors_writer.h"
#include "model/internvl.h"

namespace facellm {
namespace {

// Half of what patches are at first. At the usual 0.02 attention cannot tell places apart until they have grown.
constexpr double kPositionDeviation = 0.5;
constexpr double kClassTokenDeviation = 0.02;

bool ends_branch(std::string_view name) {
  return name.ends_with("o_proj.weight") || name.ends_with("down_proj.weight") ||
         name.ends_with("projection_layer.weight") || name.ends_with("mlp.fc2.weight");
}

void fill(const InternVlConfig& config, const std::string& name, at::Tensor target,
          at::Generator& generator) {
  const auto draw = [&](double deviation) { target.normal_(0, deviation, generator); };
  if (name.ends_with("position_embeddings")) {
    draw(kPositionDeviation);
  } else if (name.ends_with("cls_token")) {
    draw(kClassTokenDeviation);
  } else if (target.dim() > 1) {
    double variance = static_cast<double>(target.size(0)) / static_cast<double>(target.numel());
    if (ends_branch(name)) {
      const auto layers = name.starts_with("vision_tower.") ? config.vision.num_hidden_layers
                                                            : config.text.num_hidden_layers;
      variance /= 2.0 * static_cast<double>(layers);
    }
    draw(std::sqrt(variance));
  } else {
    target.fill_(name.ends_with(".bias") ? 0 : 1);
  }
}

}  // namespace

int64_t write_random_checkpoint(const RandomCheckpointRequest& request, const Cancellation& cancellation) {
  const c10::NoGradGuard no_grad;
  const InternVl model(request.config, request.has_lm_head, at::kCPU, at::kFloat);
  auto generator = at::detail::createCPUGenerator(request.seed);
  std::vector<TensorToWrite> tensors;
  int64_t count = 0;
  for (const auto& [name, parameter] : model.parameters()) {
    cancellation.check();
    fill(request.config, name, parameter, generator);
    tensors.push_back(to_write(name, parameter));
    count += parameter.numel();
  }
  write_safetensors(request.file, tensors, {{"format", "pt"}});
  return count;
}

}  // namespace facellm

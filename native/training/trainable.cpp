#include "training/trainable.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "core/error.h"

namespace facellm {

std::string part_of(const std::string& parameter) {
  const auto holds = [&](const char* text) { return parameter.find(text) != std::string::npos; };
  if (holds("vision_tower.")) return "vision";
  if (holds("multi_modal_projector.")) return "projector";
  return parameter.starts_with("language_model.lm_head.") ? "head" : "text";
}

std::vector<double> rates_of(const ParameterList& leaves, const PartRates& rates, const InternVlConfig& config) {
  std::vector<double> result;
  for (const auto& [name, leaf] : leaves) {
    const auto part = part_of(name);
    const bool is_vision = part == "vision";
    const std::string key = is_vision ? ".layer." : ".layers.";
    const int64_t layers = is_vision ? config.vision.num_hidden_layers : config.text.num_hidden_layers;
    const auto found = name.find(key);
    int64_t above = 0;
    if ((is_vision || part == "text") && found != std::string::npos) {
      above = layers - 1 - std::stoll(name.substr(found + key.size()));
    } else if (name.find("embed") != std::string::npos) {
      above = layers;
    }
    const double rate = is_vision ? rates.vision : part == "projector" ? rates.projector : part == "head" ? rates.head : rates.text;
    result.push_back(rate * std::pow(rates.layer_decay, static_cast<double>(above)));
  }
  return result;
}

namespace {

bool has_part(const std::vector<std::string>& parts, const std::string& part) {
  return std::find(parts.begin(), parts.end(), part) != parts.end();
}

// A tied head is the text's embedding: with the text it is trained, alone it has nothing to train.
void check_parts(const InternVl& model, const std::vector<std::string>& parts) {
  const auto parameters = model.parameters();
  const bool has_head = std::any_of(parameters.begin(), parameters.end(),
                                    [](const auto& entry) { return part_of(entry.first) == "head"; });
  if (has_head || !has_part(parts, "head") || has_part(parts, "text")) return;
  throw Error(ErrorCode::kInvalidArgument,
              "parts: head has no tensor of its own in this model, whose head is tied to the text's embedding; "
              "add text, which trains both, or leave head out");
}

}  // namespace

ParameterList trainable_leaves(const InternVl& model, const std::vector<std::string>& parts) {
  check_parts(model, parts);
  ParameterList leaves;
  std::map<const void*, size_t> index;
  for (const auto& [name, tensor] : model.parameters()) {
    if (!has_part(parts, part_of(name))) continue;
    // A view into a fused weight (or a reshaped one) is trained as its whole.
    const at::Tensor leaf = tensor.is_view() ? at::Tensor(tensor._base()) : tensor;
    const auto [entry, is_new] = index.try_emplace(leaf.unsafeGetTensorImpl(), leaves.size());
    if (is_new) {
      leaves.emplace_back(name, leaf);
    } else {
      leaves[entry->second].first += "+" + name;
    }
  }
  return leaves;
}

}  // namespace facellm

#include "training/trainable.h"

#include <algorithm>
#include <map>

namespace facellm {

std::string part_of(const std::string& parameter) {
  if (parameter.starts_with("vision_tower.")) return "vision";
  if (parameter.starts_with("multi_modal_projector.")) return "projector";
  return parameter.starts_with("language_model.lm_head.") ? "head" : "text";
}

ParameterList trainable_leaves(const InternVl& model, const std::vector<std::string>& parts) {
  ParameterList leaves;
  std::map<const void*, size_t> index;
  for (const auto& [name, tensor] : model.parameters()) {
    if (std::find(parts.begin(), parts.end(), part_of(name)) == parts.end()) continue;
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

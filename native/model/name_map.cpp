#include "model/name_map.h"

#include <array>
#include <string_view>
#include <utility>

namespace facellm {
namespace {

using Replacement = std::pair<std::string_view, std::string_view>;

// Form A prefix -> form B prefix.
constexpr std::array<Replacement, 4> kFormB{{
    {"language_model.model.", "model.language_model."},
    {"language_model.lm_head.", "lm_head."},
    {"vision_tower.", "model.vision_tower."},
    {"multi_modal_projector.", "model.multi_modal_projector."},
}};

// Form A suffix inside a vision layer -> original suffix.
constexpr std::array<Replacement, 8> kOriginalVisionLayer{{
    {"attention.projection_layer.", "attn.proj."},
    {"attention.q_norm.", "attn.q_norm."},
    {"attention.k_norm.", "attn.k_norm."},
    {"lambda_1", "ls1"},
    {"lambda_2", "ls2"},
    {"layernorm_before.", "norm1."},
    {"layernorm_after.", "norm2."},
    {"mlp.", "mlp."},
}};

constexpr std::array<Replacement, 6> kOriginalOther{{
    {"vision_tower.embeddings.cls_token", "vision_model.embeddings.class_embedding"},
    {"vision_tower.embeddings.position_embeddings", "vision_model.embeddings.position_embedding"},
    {"vision_tower.embeddings.patch_embeddings.projection.",
     "vision_model.embeddings.patch_embedding."},
    {"multi_modal_projector.layer_norm.", "mlp1.0."},
    {"multi_modal_projector.linear_1.", "mlp1.1."},
    {"multi_modal_projector.linear_2.", "mlp1.3."},
}};

std::string replace_prefix(std::string_view text, const Replacement& replacement) {
  return std::string(replacement.second).append(text.substr(replacement.first.size()));
}

// "" where the original layout has no such name.
TensorSource original_source(std::string_view name) {
  constexpr std::string_view kLayer = "vision_tower.encoder.layer.";
  if (name.starts_with(kLayer)) {
    const auto dot = name.find('.', kLayer.size());
    const std::string prefix = "vision_model.encoder.layers." +
                               std::string(name.substr(kLayer.size(), dot - kLayer.size())) + ".";
    const auto rest = name.substr(dot + 1);
    constexpr std::array<std::string_view, 3> kFused{"attention.q_proj.", "attention.k_proj.",
                                                     "attention.v_proj."};
    for (size_t part = 0; part < kFused.size(); ++part) {
      if (rest.starts_with(kFused[part])) {
        return {prefix + "attn.qkv." + std::string(rest.substr(kFused[part].size())),
                static_cast<int64_t>(part), 3};
      }
    }
    for (const auto& replacement : kOriginalVisionLayer) {
      if (rest.starts_with(replacement.first)) return {prefix + replace_prefix(rest, replacement)};
    }
    return {};
  }
  for (const auto& replacement : kOriginalOther) {
    if (name.starts_with(replacement.first)) return {replace_prefix(name, replacement)};
  }
  return {};  // the language model's names are the same in the original layout
}

}  // namespace

std::vector<TensorSource> tensor_sources(const std::string& name) {
  std::vector<TensorSource> sources{{name}};
  for (const auto& replacement : kFormB) {
    if (std::string_view(name).starts_with(replacement.first)) {
      sources.push_back({replace_prefix(name, replacement)});
    }
  }
  auto original = original_source(name);
  if (!original.name.empty()) sources.push_back(std::move(original));
  return sources;
}

std::string in_memory_name(const std::string& name) {
  for (const auto& replacement : kFormB) {
    if (std::string_view(name).starts_with(replacement.first)) return replace_prefix(name, replacement);
  }
  return name;
}

TensorSource original_tensor(const std::string& name) {
  auto source = original_source(name);
  if (source.name.empty() && name.starts_with("language_model.")) source.name = name;
  return source;
}

bool is_ignored_tensor(const std::string& name) { return name.ends_with("rotary_emb.inv_freq"); }

}  // namespace facellm

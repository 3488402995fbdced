#include "model/vision_encoder.h"

#include "kernels/embed_patches/embed_patches.h"
#include "kernels/patchify/patchify.h"
#include "layers/attention.h"

namespace facellm {
namespace {

int64_t used_layers(const InternVlConfig& config) {
  const int64_t count = config.vision.num_hidden_layers;
  const int64_t index = config.vision_feature_layer;  // of [embeddings, layer 0, ...]
  return index < 0 ? count + 1 + index : index;
}

}  // namespace

VisionEncoder::VisionEncoder(const InternVlConfig& config, const at::TensorOptions& options)
    : config_(config.vision), layers_used_(used_layers(config)) {
  const auto& c = config_;
  const int64_t side = c.image_size / c.patch_size;
  cls_token_ = at::empty({1, 1, c.hidden_size}, options);
  position_embeddings_ = at::empty({1, side * side + 1, c.hidden_size}, options);
  patch_projection_ = Linear::empty(3 * c.patch_size * c.patch_size, c.hidden_size, true, options);
  const auto norm = [&] { return Norm::empty(c.hidden_size, c.norm_eps, c.is_rms_norm, options); };
  for (int64_t i = 0; i < c.num_hidden_layers; ++i) {
    VisionLayer layer;
    layer.layernorm_before = norm();
    layer.layernorm_after = norm();
    layer.qkv = Linear::empty(c.hidden_size, 3 * c.hidden_size, c.has_qkv_bias, options);
    if (c.has_qk_norm) {
      // eps is 1e-6 here whatever the config says (docs/internvl3.md, section 5).
      layer.q_norm = Norm::empty(c.hidden_size, 1e-6, true, options);
      layer.k_norm = Norm::empty(c.hidden_size, 1e-6, true, options);
    }
    layer.projection_layer = Linear::empty(c.hidden_size, c.hidden_size, true, options);
    layer.fc1 = Linear::empty(c.hidden_size, c.intermediate_size, true, options);
    layer.fc2 = Linear::empty(c.intermediate_size, c.hidden_size, true, options);
    layer.lambda_1 = at::empty({c.hidden_size}, options);
    layer.lambda_2 = at::empty({c.hidden_size}, options);
    layers_.push_back(std::move(layer));
  }
  if (c.has_final_norm) layernorm_ = Norm::empty(c.hidden_size, c.norm_eps, false, options);
}

void VisionEncoder::append_parameters(ParameterList& list) const {
  const int64_t c = config_.hidden_size, patch = config_.patch_size;
  const std::string root = "vision_tower.";
  list.emplace_back(root + "embeddings.cls_token", cls_token_);
  list.emplace_back(root + "embeddings.position_embeddings", position_embeddings_);
  const std::string projection = root + "embeddings.patch_embeddings.projection";
  list.emplace_back(projection + ".weight", patch_projection_.weight.view({c, 3, patch, patch}));
  list.emplace_back(projection + ".bias", patch_projection_.bias);
  for (size_t i = 0; i < layers_.size(); ++i) {
    const auto& layer = layers_[i];
    const std::string prefix = root + "encoder.layer." + std::to_string(i) + ".";
    append(list, prefix + "layernorm_before", layer.layernorm_before);
    append_rows(list, prefix + "attention.q_proj", layer.qkv, 0, c);
    append_rows(list, prefix + "attention.k_proj", layer.qkv, c, c);
    append_rows(list, prefix + "attention.v_proj", layer.qkv, 2 * c, c);
    if (config_.has_qk_norm) {
      append(list, prefix + "attention.q_norm", layer.q_norm);
      append(list, prefix + "attention.k_norm", layer.k_norm);
    }
    append(list, prefix + "attention.projection_layer", layer.projection_layer);
    list.emplace_back(prefix + "lambda_1", layer.lambda_1);
    append(list, prefix + "layernorm_after", layer.layernorm_after);
    append(list, prefix + "mlp.fc1", layer.fc1);
    append(list, prefix + "mlp.fc2", layer.fc2);
    list.emplace_back(prefix + "lambda_2", layer.lambda_2);
  }
  if (config_.has_final_norm) append(list, root + "layernorm", layernorm_);
}

void VisionEncoder::append_linears(LinearSiteList& list) {
  const int64_t c = config_.hidden_size;
  for (size_t i = 0; i < layers_.size(); ++i) {
    auto& layer = layers_[i];
    const std::string prefix = "vision_tower.encoder.layer." + std::to_string(i) + ".";
    const std::string attn = prefix + "attention.";
    list.push_back({&layer.qkv,
                    {{attn + "q_proj", 0, c}, {attn + "k_proj", c, c}, {attn + "v_proj", 2 * c, c}}});
    list.push_back({&layer.projection_layer, {{attn + "projection_layer", 0, c}}});
    list.push_back({&layer.fc1, {{prefix + "mlp.fc1", 0, config_.intermediate_size}}});
    list.push_back({&layer.fc2, {{prefix + "mlp.fc2", 0, c}}});
  }
}

at::Tensor VisionEncoder::layers(at::Tensor hidden_states, int64_t first, int64_t end,
                                 const Cancellation& cancellation, const Trace& trace) const {
  at::Tensor mlp;  // of the layer before; added by the next norm
  for (int64_t i = first; i < end; ++i) {
    cancellation.check();
    const auto& layer = layers_[i];
    const auto before = mlp.defined() ? layer.layernorm_before.after(hidden_states, mlp, layers_[i - 1].lambda_2)
                                      : ScaleAddNorm{hidden_states, layer.layernorm_before(hidden_states)};
    const auto after = layer.layernorm_after.after(before.sum, attend(layer, before.normalised), layer.lambda_1);
    mlp = layer.fc2(layer.fc1.gelu(after.normalised));
    hidden_states = after.sum;
    if (!trace && i + 1 < end) continue;
    hidden_states = scale_add(hidden_states, mlp, layer.lambda_2);
    mlp = at::Tensor();
    if (trace) trace("vision.layers." + std::to_string(i), hidden_states);
  }
  return hidden_states;
}

at::Tensor VisionEncoder::finish(const at::Tensor& hidden_states) const {
  const bool is_whole = layers_used_ == static_cast<int64_t>(layers_.size());
  return config_.has_final_norm && is_whole ? layernorm_(hidden_states) : hidden_states;
}

at::Tensor VisionEncoder::embed(const at::Tensor& tiles, const ChannelScale& scale, const Trace& trace) const {
  // Told, not computed with: patchify() makes the same numbers while it cuts.
  if (trace) trace("pixel_values", normalise(tiles, scale));
  const auto patches = patchify(tiles, scale, config_.patch_size, cls_token_.scalar_type());
  const auto embedded = embed_patches(patch_projection_(patches), cls_token_, position_embeddings_);
  if (trace) trace("vision.embeddings", embedded);
  return embedded;
}

at::Tensor VisionEncoder::attend(const VisionLayer& layer, const at::Tensor& normalised) const {
  const int64_t tiles = normalised.size(0), length = normalised.size(1);
  const int64_t heads = config_.num_attention_heads, head_dim = config_.hidden_size / heads;
  auto qkv = layer.qkv(normalised).split(config_.hidden_size, -1);
  if (config_.has_qk_norm) {
    qkv[0] = layer.q_norm(qkv[0]);
    qkv[1] = layer.k_norm(qkv[1]);
  }
  const auto split_heads = [&](const at::Tensor& x) {
    return x.unflatten(-1, {heads, head_dim}).transpose(1, 2);  // [N, heads, P + 1, head_dim]
  };
  const auto out = attention(split_heads(qkv[0]), split_heads(qkv[1]), split_heads(qkv[2]),
                             at::Tensor(), /*is_causal=*/false);
  return layer.projection_layer(out.view({tiles, length, config_.hidden_size}));
}

}  // namespace facellm

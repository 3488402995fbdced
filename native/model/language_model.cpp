#include "model/language_model.h"

#include "kernels/cpu/packed_matrix.h"
#include "kernels/add_rms_norm/add_rms_norm.h"
#include "kernels/rope_kv_append/rope_heads.h"
#include "layers/attention.h"
#include "layers/frozen_weight.h"
#include "layers/invariant_attention.h"
#include "layers/normed_linear.h"

namespace facellm {

LanguageModel::LanguageModel(const TextConfig& config, bool has_lm_head,
                             const at::TensorOptions& options, LayerWeights layer_weights)
    : config_(config),
      options_(options),
      rotary_(config.head_dim, config.rope_theta, options),
      is_tied_(!has_lm_head) {
  const int64_t hidden = config.hidden_size;
  const int64_t q_size = config.num_attention_heads * config.head_dim;
  const int64_t kv_size = config.num_key_value_heads * config.head_dim;
  embed_tokens_.weight = at::empty({config.vocab_size, hidden}, options);
  norm_ = at::empty({hidden}, options);
  const auto make_linear = layer_weights == LayerWeights::kOwn ? Linear::empty : Linear::without_weight;
  for (int64_t i = 0; i < config.num_hidden_layers; ++i) {
    DecoderLayer layer;
    layer.input_layernorm = at::empty({hidden}, options);
    layer.post_attention_layernorm = at::empty({hidden}, options);
    layer.qkv = make_linear(hidden, q_size + 2 * kv_size, true, options);
    layer.o_proj = make_linear(q_size, hidden, false, options);
    layer.gate_up = make_linear(hidden, 2 * config.intermediate_size, false, options);
    layer.down_proj = make_linear(config.intermediate_size, hidden, false, options);
    layers_.push_back(std::move(layer));
  }
  lm_head_.weight = is_tied_ ? embed_tokens_.weight : at::empty({config.vocab_size, hidden}, options);
}

void LanguageModel::append_parameters(ParameterList& list) const {
  const int64_t q_size = config_.num_attention_heads * config_.head_dim;
  const int64_t kv_size = config_.num_key_value_heads * config_.head_dim;
  const int64_t mlp_size = config_.intermediate_size;
  const std::string root = "language_model.model.";
  list.emplace_back(root + "embed_tokens.weight", embed_tokens_.weight);
  for (size_t i = 0; i < layers_.size(); ++i) {
    const auto& layer = layers_[i];
    const std::string prefix = root + "layers." + std::to_string(i) + ".";
    list.emplace_back(prefix + "input_layernorm.weight", layer.input_layernorm);
    append_rows(list, prefix + "self_attn.q_proj", layer.qkv, 0, q_size);
    append_rows(list, prefix + "self_attn.k_proj", layer.qkv, q_size, kv_size);
    append_rows(list, prefix + "self_attn.v_proj", layer.qkv, q_size + kv_size, kv_size);
    append(list, prefix + "self_attn.o_proj", layer.o_proj);
    list.emplace_back(prefix + "post_attention_layernorm.weight", layer.post_attention_layernorm);
    append_rows(list, prefix + "mlp.gate_proj", layer.gate_up, 0, mlp_size);
    append_rows(list, prefix + "mlp.up_proj", layer.gate_up, mlp_size, mlp_size);
    append(list, prefix + "mlp.down_proj", layer.down_proj);
  }
  list.emplace_back(root + "norm.weight", norm_);
  if (!is_tied_) list.emplace_back("language_model.lm_head.weight", lm_head_.weight);
}

void LanguageModel::append_linears(LinearSiteList& list) {
  const int64_t q_size = config_.num_attention_heads * config_.head_dim;
  const int64_t kv_size = config_.num_key_value_heads * config_.head_dim;
  const int64_t hidden = config_.hidden_size, mlp_size = config_.intermediate_size;
  for (size_t i = 0; i < layers_.size(); ++i) {
    auto& layer = layers_[i];
    const std::string attn = "language_model.model.layers." + std::to_string(i) + ".self_attn.";
    const std::string mlp = "language_model.model.layers." + std::to_string(i) + ".mlp.";
    list.push_back({&layer.qkv,
                    {{attn + "q_proj", 0, q_size},
                     {attn + "k_proj", q_size, kv_size},
                     {attn + "v_proj", q_size + kv_size, kv_size}}});
    list.push_back({&layer.o_proj, {{attn + "o_proj", 0, hidden}}});
    list.push_back(
        {&layer.gate_up, {{mlp + "gate_proj", 0, mlp_size}, {mlp + "up_proj", mlp_size, mlp_size}}});
    list.push_back({&layer.down_proj, {{mlp + "down_proj", 0, hidden}}});
  }
}

LinearSite LanguageModel::head() {
  return {&lm_head_, {{is_tied_ ? "language_model.model.embed_tokens" : "language_model.lm_head", 0, config_.vocab_size}}};
}

LinearSite LanguageModel::embeddings() {
  return {&embed_tokens_, {{"language_model.model.embed_tokens", 0, config_.vocab_size}}};
}

at::Tensor LanguageModel::embed(const at::Tensor& ids) const {
  if (embed_tokens_.packed) return embed_tokens_.packed->gather(ids, c10::typeMetaToScalarType(options_.dtype()));
  if (embed_tokens_.frozen) return embed_tokens_.frozen->gather(ids);
  return at::embedding(embed_tokens_.weight, ids);
}

at::Tensor LanguageModel::forward(const StepBatch& batch, const KvPool& pool, const Cancellation& cancellation,
                                  const Trace& trace) const {
  const auto rotary = rotary_(batch.positions);
  const auto attend = [&](const at::Tensor& q, const at::Tensor& keys, const at::Tensor& values) {
    if (batch.decode) return paged_decode_attention(q, keys, values, *batch.decode);
    if (batch.is_invariant) return invariant_attention(q, keys, values, batch.segments);
    return batch.singles ? paged_attention(q, keys, values, batch.segments, *batch.singles)
                         : paged_attention(q, keys, values, batch.segments);
  };
  const auto traced = [&](const std::string& name, const at::Tensor& value) {
    if (trace) trace(name, value.unsqueeze(0));
  };
  traced("text.inputs_embeds", batch.embeddings);
  at::Tensor residual = batch.embeddings;
  at::Tensor delta;  // of the block before; folded into the residual by the next norm
  for (size_t i = 0; i < layers_.size(); ++i) {
    cancellation.check();
    const auto& layer = layers_[i];
    const auto index = static_cast<int64_t>(i);
    const auto keys = pool.keys(index), values = pool.values(index);
    const auto before = norm_heads({residual, delta, layer.input_layernorm, config_.rms_norm_eps}, layer.qkv,
                                   {rotary.cos, rotary.sin, keys, values, batch.slots, config_.num_attention_heads,
                                    config_.num_key_value_heads});
    if (i > 0) traced("text.layers." + std::to_string(i - 1), before.residual);
    const auto attended = layer.o_proj(attend(before.out, keys, values));
    const auto after = norm_gated({before.residual, attended, layer.post_attention_layernorm, config_.rms_norm_eps},
                                  layer.gate_up);
    delta = layer.down_proj(after.out);
    residual = after.residual;
  }
  const auto out = delta.defined() ? residual + delta : residual;
  traced("text.layers." + std::to_string(layers_.size() - 1), out);
  return out;
}

at::Tensor LanguageModel::forward(const PackedSequences& sequences,
                                  const LayerRunner& run_layer) const {
  const auto rotary = rotary_(sequences.positions);
  const auto slots = at::arange(sequences.positions.size(0), sequences.positions.options());
  auto hidden_states = sequences.embeddings.unsqueeze(0);
  for (size_t i = 0; i < layers_.size(); ++i) {
    const auto& layer = layers_[i];
    // By value: an activation checkpoint runs it again after this call has returned.
    const LayerFunction run = [this, &layer, rotary, slots,
                               nodes = sequences.nodes](const at::Tensor& residual) {
      const auto before =
          add_rms_norm(residual, at::Tensor(), layer.input_layernorm, config_.rms_norm_eps);
      const auto attended = attend_packed(layer, before.normalised, rotary, slots, nodes);
      const auto after =
          add_rms_norm(residual, attended, layer.post_attention_layernorm, config_.rms_norm_eps);
      return after.residual + layer.down_proj(layer.gate_up.gated(after.normalised));
    };
    hidden_states = run_layer(static_cast<int64_t>(i), run, hidden_states);
  }
  return hidden_states.squeeze(0);
}

at::Tensor LanguageModel::attend_packed(const DecoderLayer& layer, const at::Tensor& normalised, const RotaryTables& rotary,
                                        const at::Tensor& slots, const std::vector<TreeNode>& nodes) const {
  const auto [q, keys, values] = rope_heads(layer.qkv(normalised).squeeze(0), rotary.cos, rotary.sin, slots, config_.num_attention_heads,
                                            config_.num_key_value_heads);
  if (has_branches(nodes)) return layer.o_proj(tree_attention(q.unsqueeze(0), keys.unsqueeze(0), values.unsqueeze(0), nodes));
  std::vector<int64_t> lengths;
  for (const auto& node : nodes) lengths.push_back(node.count);
  // Splits, not narrow(): the gradient of each part of a narrow() is as large as the whole, which makes the
  // backward pass quadratic in the number of samples.
  const auto split = [&](const at::Tensor& x) { return x.unsqueeze(0).split_with_sizes(lengths, 2); };
  const auto own_q = split(q), own_keys = split(keys), own_values = split(values);
  std::vector<at::Tensor> outputs;  // of samples, from [1, H or K, T, E]
  for (size_t i = 0; i < lengths.size(); ++i) {
    outputs.push_back(attention(own_q[i], own_keys[i], own_values[i], at::Tensor(), /*is_causal=*/true));
  }
  return layer.o_proj(outputs.size() == 1 ? outputs[0] : at::cat(outputs, 1));
}

at::Tensor LanguageModel::final_norm(const at::Tensor& hidden_states) const {
  return add_rms_norm(hidden_states, at::Tensor(), norm_, config_.rms_norm_eps).normalised;
}

at::Tensor LanguageModel::logits(const at::Tensor& hidden_states, const Trace& trace) const {
  const auto normalised = final_norm(hidden_states);
  if (trace) trace("text.norm", normalised);
  return lm_head_(normalised);
}

KvPool LanguageModel::make_pool(int64_t blocks, int64_t block_size) const {
  return KvPool(config_.num_hidden_layers, blocks, config_.num_key_value_heads, block_size, config_.head_dim,
                options_);
}

int64_t LanguageModel::slot_bytes() const {
  return KvPool::slot_bytes(config_.num_hidden_layers, config_.num_key_value_heads, config_.head_dim,
                            c10::typeMetaToScalarType(options_.dtype()));
}

}  // namespace facellm

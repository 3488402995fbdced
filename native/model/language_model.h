// Qwen2.5: grouped-query attention with q/k/v biases, half-split RoPE, SwiGLU, RMSNorm
// (docs/internvl3.md, section 9; upstream: transformers 5.18 models/qwen2). q, k, v and gate, up
// are fused matmuls; the residual add and the norm that follows it are one kernel.
#pragma once

#include <ATen/ATen.h>

#include <functional>
#include <optional>
#include <vector>

#include "core/cancellation.h"
#include "core/trace.h"
#include "kernels/paged_decode_attention/paged_decode_attention.h"
#include "layers/kv_pool.h"
#include "layers/linear.h"
#include "layers/paged_attention.h"
#include "layers/rotary.h"
#include "layers/tree_attention.h"
#include "model/config.h"
#include "model/parameters.h"

namespace facellm {

struct DecoderLayer {
  at::Tensor input_layernorm, post_attention_layernorm;  // [D]
  Linear qkv;      // rows: q [H * E], k [K * E], v [K * E]
  Linear o_proj;
  Linear gate_up;  // rows: gate [F], up [F]
  Linear down_proj;
};

// Tokens of many rows in one pass, one row behind another: no padding anywhere.
struct StepBatch {
  at::Tensor embeddings;  // [T, D]
  at::Tensor positions;   // [T] int64: rotary positions
  at::Tensor slots;       // [T] int64: of the pool, where each token's keys and values go
  std::vector<Segment> segments;  // what each may see; they cover the tokens in order, but those of `singles`
  bool is_invariant = false;      // by invariant_attention(); the last tokens may belong to no segment
  std::optional<SingleTokens> singles = {};
  std::optional<DecodeRows> decode = {};  // instead of segments: a token a row, all that they see known to the device alone
};

// Sequences one behind another in one row, none of which sees another, or trees of them: no padding anywhere.
struct PackedSequences {
  at::Tensor embeddings;        // [T, D], T the nodes' counts together
  at::Tensor positions;         // [T] int64, on the model's device: positions_of(nodes)
  std::vector<TreeNode> nodes;  // a sequence is a node without descendants
};

// Runs one layer on hidden states [1, T, D]; training wraps it to recompute activations.
using LayerFunction = std::function<at::Tensor(const at::Tensor&)>;
using LayerRunner = std::function<at::Tensor(int64_t layer, const LayerFunction&, const at::Tensor&)>;

// Whether a model allocates the weights of its text layers' projections, or leaves that to another owner.
enum class LayerWeights { kOwn, kLeftOut };

class LanguageModel {
 public:
  // has_lm_head false: the head shares embed_tokens (docs/internvl3.md, section 3.3).
  LanguageModel(const TextConfig& config, bool has_lm_head, const at::TensorOptions& options,
                LayerWeights layer_weights);

  void append_parameters(ParameterList& list) const;
  // Every projection of every layer (what PEFT calls "all"); not the head.
  void append_linears(LinearSiteList& list);
  // ids [...] int64 -> [..., D]
  at::Tensor embed(const at::Tensor& ids) const;
  // Writes the tokens' keys and values into the pool. Returns [T, D] before the final norm. Traces
  // text.inputs_embeds and text.layers.N, each [1, T, D].
  at::Tensor forward(const StepBatch& batch, const KvPool& pool, const Cancellation& cancellation,
                     const Trace& trace) const;
  // The same layers without a cache, safe for autograd. Returns [T, D] before the final norm.
  at::Tensor forward(const PackedSequences& sequences, const LayerRunner& run_layer) const;
  // hidden_states [..., D] after the final norm; what the head multiplies.
  at::Tensor final_norm(const at::Tensor& hidden_states) const;
  // The head and the module whose weights it has: embed_tokens where it shares them.
  LinearSite head();
  // The token embedding as a matrix that may be packed; its product is nobody's.
  LinearSite embeddings();
  bool ties_head() const { return is_tied_; }
  const at::Tensor& head_weight() const { return lm_head_.weight; }  // [V, D]
  // hidden_states [..., D] -> logits [..., V] in the model's dtype. Traces text.norm.
  at::Tensor logits(const at::Tensor& hidden_states, const Trace& trace) const;
  KvPool make_pool(int64_t blocks, int64_t block_size) const;
  int64_t slot_bytes() const;  // of one token in the pool

 private:
  friend class DecodeStep;  // the same layers by raw pointers

  at::Tensor attend_packed(const DecoderLayer& layer, const at::Tensor& normalised, const RotaryTables& rotary, const at::Tensor& slots,
                           const std::vector<TreeNode>& nodes) const;

  TextConfig config_;
  at::TensorOptions options_;
  Rotary rotary_;
  Linear embed_tokens_;      // [V, D]
  at::Tensor norm_;          // [D]
  Linear lm_head_;
  bool is_tied_;
  std::vector<DecoderLayer> layers_;
};

}  // namespace facellm

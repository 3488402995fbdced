#include "layers/tree_attention.h"

#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "kernels/product/product.h"

namespace facellm {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// One attention without a mask: queries and keys of two stretches of the tokens.
struct Block {
  int64_t query, queries, key, keys;
  bool is_causal;  // else every query sees every key
};

// All nodes among themselves, then what their descendants see of them.
std::vector<Block> blocks_of(const std::vector<int64_t>& nodes) {
  std::vector<Block> own, seen;
  int64_t begin = 0;
  for (size_t i = 0; i < nodes.size(); i += 2) {
    const int64_t count = nodes[i], descendants = nodes[i + 1];
    own.push_back({begin, count, begin, count, true});
    if (descendants > 0) seen.push_back({begin + count, descendants, begin, count, false});
    begin += count;
  }
  own.insert(own.end(), seen.begin(), seen.end());
  return own;
}

// Heads of a group read the same keys, which are not repeated in memory: [K, H / K, T, E] of [1, H, T, E] and of [1, K, T, E].
struct Heads {
  at::Tensor q, k, v;
  double scale;

  Heads(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value)
      : scale(1 / std::sqrt(static_cast<double>(query.size(3)))) {
    const int64_t kv_heads = key.size(1), groups = query.size(1) / kv_heads;
    const auto shared = [&](const at::Tensor& x) { return x[0].unsqueeze(1).expand({-1, groups, -1, -1}); };
    q = query[0].unflatten(0, {kv_heads, groups});
    k = shared(key);
    v = shared(value);
  }
};

at::Tensor queries_of(const at::Tensor& x, const Block& block) { return x.narrow(2, block.query, block.queries); }
at::Tensor keys_of(const at::Tensor& x, const Block& block) { return x.narrow(2, block.key, block.keys); }

// [K, G, T, E] whose memory is [T, H, E], where o_proj wants it.
at::Tensor like_tokens(const at::Tensor& q, at::ScalarType dtype) {
  return at::zeros({q.size(2), q.size(0), q.size(1), q.size(3)}, q.options().dtype(dtype)).permute({1, 2, 0, 3});
}

// Sums of several parts are kept in fp32 at least.
at::ScalarType wide_type(const at::Tensor& x) { return x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat; }

// libtorch's fused kernel of the CPU.
struct Fused {
  static std::tuple<at::Tensor, at::Tensor> forward(const Heads& heads, const Block& block) {
    return at::_scaled_dot_product_flash_attention_for_cpu(queries_of(heads.q, block), keys_of(heads.k, block), keys_of(heads.v, block), 0.0,
                                                           block.is_causal, std::nullopt, heads.scale);
  }
  static std::array<at::Tensor, 3> backward(const Heads& heads, const Block& block, const at::Tensor& grad, const at::Tensor& out,
                                            const at::Tensor& log_sums) {
    auto [dq, dk, dv] = at::_scaled_dot_product_flash_attention_for_cpu_backward(
        queries_of(grad, block), queries_of(heads.q, block), keys_of(heads.k, block), keys_of(heads.v, block), queries_of(out, block),
        queries_of(log_sums, block), 0.0, block.is_causal, std::nullopt, heads.scale);
    return {dq, dk, dv};
  }
};

// libtorch's flash attention of a GPU, which takes grouped heads as they are.
struct Flash {
  static at::Tensor all_heads(const at::Tensor& x) { return x.flatten(0, 1).unsqueeze(0); }
  static at::Tensor key_heads(const at::Tensor& x) { return x.select(1, 0).unsqueeze(0); }
  static std::tuple<at::Tensor, at::Tensor> forward(const Heads& heads, const Block& block) {
    const auto result = at::_scaled_dot_product_flash_attention(
        all_heads(queries_of(heads.q, block)), key_heads(keys_of(heads.k, block)), key_heads(keys_of(heads.v, block)), 0.0, block.is_causal,
        /*return_debug_mask=*/false, heads.scale);
    const std::vector<int64_t> grouped{heads.q.size(0), heads.q.size(1)};
    return {std::get<0>(result)[0].unflatten(0, grouped), std::get<1>(result)[0].unflatten(0, grouped)};
  }
  static std::array<at::Tensor, 3> backward(const Heads& heads, const Block& block, const at::Tensor& grad, const at::Tensor& out,
                                            const at::Tensor& log_sums) {
    // As the forward pass gives them where there is no dropout and one length.
    const auto seed = at::empty({2}, out.options().dtype(at::kUInt64)), offset = at::empty({}, seed.options());
    // Logsumexps are read by their address alone.
    const auto [dq, dk, dv] = at::_scaled_dot_product_flash_attention_backward(
        all_heads(queries_of(grad, block)), all_heads(queries_of(heads.q, block)), key_heads(keys_of(heads.k, block)),
        key_heads(keys_of(heads.v, block)), all_heads(queries_of(out, block)), all_heads(queries_of(log_sums, block)).contiguous(), at::Tensor(), at::Tensor(),
        block.queries, block.keys, 0.0, block.is_causal, seed, offset, heads.scale);
    return {dq[0].unflatten(0, {heads.q.size(0), heads.q.size(1)}), dk[0].unsqueeze(1), dv[0].unsqueeze(1)};
  }
};

// Any device and dtype.
struct Plain {
  static at::Tensor scores(const Heads& heads, const Block& block) {
    const auto wide = [&](const at::Tensor& x) { return x.to(wide_type(x)); };
    auto scores = at::matmul(wide(queries_of(heads.q, block)), wide(keys_of(heads.k, block)).transpose(-2, -1)) * heads.scale;
    if (block.is_causal) {
      const auto hidden = at::ones({block.queries, block.keys}, scores.options().dtype(at::kBool)).triu(1);
      scores.masked_fill_(hidden, -std::numeric_limits<double>::infinity());
    }
    return scores;
  }
  static std::tuple<at::Tensor, at::Tensor> forward(const Heads& heads, const Block& block) {
    const auto own = scores(heads, block);
    const auto log_sums = own.logsumexp(-1);
    return {at::matmul((own - log_sums.unsqueeze(-1)).exp(), keys_of(heads.v, block).to(own.scalar_type())), log_sums};
  }
  static std::array<at::Tensor, 3> backward(const Heads& heads, const Block& block, const at::Tensor& grad, const at::Tensor& out,
                                            const at::Tensor& log_sums) {
    const auto type = wide_type(grad);
    const auto weights = (scores(heads, block) - queries_of(log_sums, block).unsqueeze(-1)).exp();
    const auto own = queries_of(grad, block).to(type);
    const auto delta = (own * queries_of(out, block).to(type)).sum(-1, true);
    const auto of_scores = weights * (at::matmul(own, keys_of(heads.v, block).to(type).transpose(-2, -1)) - delta) * heads.scale;
    return {at::matmul(of_scores, keys_of(heads.k, block).to(type)),
            at::matmul(of_scores.transpose(-2, -1), queries_of(heads.q, block).to(type)), at::matmul(weights.transpose(-2, -1), own)};
  }
};

template <typename Attention>
struct TreeAttentionFunction : torch::autograd::Function<TreeAttentionFunction<Attention>> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                            const std::vector<int64_t>& nodes) {
    const Heads heads(q, k, v);
    const auto type = wide_type(q);
    auto out = like_tokens(heads.q, type);
    const auto log_sums = at::empty(heads.q.sizes().slice(0, 3), q.options().dtype(type));
    for (const auto& block : blocks_of(nodes)) {
      const auto [part, part_sums] = Attention::forward(heads, block);
      auto own = queries_of(out, block), own_sums = queries_of(log_sums, block);
      if (block.is_causal) {
        own.copy_(part);
        own_sums.copy_(part_sums);
      } else {
        const auto merged = at::logaddexp(own_sums, part_sums);
        own.mul_((own_sums - merged).exp_().unsqueeze(-1)).add_(part.to(type) * (part_sums - merged).exp_().unsqueeze(-1));
        own_sums.copy_(merged);
      }
    }
    out = out.to(q.scalar_type());
    context->save_for_backward({q, k, v, out, log_sums});
    context->saved_data["nodes"] = nodes;
    return out.permute({2, 0, 1, 3}).flatten(1).unsqueeze(0);
  }

  static variable_list backward(AutogradContext* context, variable_list grads) {
    const auto saved = context->get_saved_variables();
    const Heads heads(saved[0], saved[1], saved[2]);
    const auto &out = saved[3], &log_sums = saved[4];
    const auto type = wide_type(out);
    const auto grad = grads[0][0].unflatten(-1, {heads.q.size(0), heads.q.size(1), heads.q.size(3)}).permute({1, 2, 0, 3});
    auto dq = like_tokens(heads.q, type);
    auto dk = at::zeros(saved[1].sizes(), out.options().dtype(type)), dv = at::zeros_like(dk);
    for (const auto& block : blocks_of(context->saved_data["nodes"].toIntVector())) {
      const auto [of_q, of_k, of_v] = Attention::backward(heads, block, grad, out, log_sums);
      queries_of(dq, block).add_(of_q);
      keys_of(dk, block).add_(of_k.sum(1, false, type).unsqueeze(0));
      keys_of(dv, block).add_(of_v.sum(1, false, type).unsqueeze(0));
    }
    const auto own = out.scalar_type();
    return {dq.flatten(0, 1).unsqueeze(0).to(own), dk.to(own), dv.to(own), at::Tensor()};
  }
};

template <typename Attention>
at::Tensor attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const std::vector<TreeNode>& nodes) {
  std::vector<int64_t> numbers;
  for (const auto& node : nodes) numbers.insert(numbers.end(), {node.count, node.descendants});
  return TreeAttentionFunction<Attention>::apply(q, k, v, numbers);
}

}  // namespace

bool has_branches(const std::vector<TreeNode>& nodes) {
  return std::any_of(nodes.begin(), nodes.end(), [](const TreeNode& node) { return node.descendants > 0; });
}

std::vector<int64_t> positions_of(const std::vector<TreeNode>& nodes) {
  std::vector<int64_t> positions;
  for (const auto& node : nodes) {
    for (int64_t i = 0; i < node.count; ++i) positions.push_back(node.start + i);
  }
  return positions;
}

at::Tensor tree_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const std::vector<TreeNode>& nodes) {
  if (has_slow_products(q)) {
    const auto wide = [](const at::Tensor& x) { return x.to(at::kFloat); };
    return tree_attention(wide(q), wide(k), wide(v), nodes).to(q.scalar_type());
  }
  if (q.is_cpu() && q.scalar_type() != at::kDouble) return attend<Fused>(q, k, v, nodes);
  constexpr int64_t kFlash = 1, kCudnn = 3;  // at::SDPBackend, whose header differs between versions
  // As scaled_dot_product_attention() would choose: by the card, the dtype and the shapes. What cuDNN takes, flash attention takes, too.
  const auto choice = q.is_cuda() ? at::_fused_sdp_choice(q, k, v, std::nullopt, 0.0, true, std::nullopt, q.size(1) != k.size(1)) : 0;
  return choice == kFlash || choice == kCudnn ? attend<Flash>(q, k, v, nodes) : attend<Plain>(q, k, v, nodes);
}

at::Tensor tree_attention_plain(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const std::vector<TreeNode>& nodes) {
  return attend<Plain>(q, k, v, nodes);
}

at::Tensor tree_attention_reference(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                    const std::vector<TreeNode>& nodes) {
  const auto sees = at::zeros({q.size(2), q.size(2)}, at::kBool);
  int64_t begin = 0;
  for (const auto& node : nodes) {
    const int64_t end = begin + node.count;
    sees.slice(0, begin, end).slice(1, begin, end).copy_(at::ones({node.count, node.count}, at::kBool).tril());
    sees.slice(0, end, end + node.descendants).slice(1, begin, end).fill_(true);
    begin = end;
  }
  const auto repeat = [&](const at::Tensor& x) { return x.repeat_interleave(q.size(1) / k.size(1), 1); };
  auto scores = at::matmul(q, repeat(k).transpose(-2, -1)) / std::sqrt(static_cast<double>(q.size(3)));
  scores = scores.masked_fill(sees.logical_not().to(q.device()), -std::numeric_limits<double>::infinity());
  return at::matmul(at::softmax(scores, -1), repeat(v)).transpose(1, 2).flatten(2);
}

}  // namespace facellm

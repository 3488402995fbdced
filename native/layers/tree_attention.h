// Attention over trees of tokens: what several sequences begin with stands once, what follows it are its branches. A token sees
// its own node's tokens up to itself and all of its ancestors': each of these is one attention without a mask, and their partial
// results are merged by their logsumexps. A block's gradient follows from the merged output and logsumexp alone
// (FlashAttention, arXiv 2307.08691, section 3), so nothing of [tokens, tokens] is kept.
#pragma once

#include <ATen/ATen.h>

#include <vector>

namespace facellm {

// Nodes stand in preorder: a node's tokens, behind them those of all its descendants.
struct TreeNode {
  int64_t count;            // tokens of its own, at least one
  int64_t start = 0;        // position of the first: the ancestors' tokens together
  int64_t descendants = 0;  // tokens behind its own that see it
};

// Whether any node is seen from another.
bool has_branches(const std::vector<TreeNode>& nodes);
// Of every token, in order.
std::vector<int64_t> positions_of(const std::vector<TreeNode>& nodes);

// q [1, H, T, E]; k, v [1, K, T, E], T the nodes' counts together; scale E^-1/2, softmax in fp32. Query head h reads key/value head
// h / (H / K). Differentiable. Returns [1, T, H * E].
at::Tensor tree_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const std::vector<TreeNode>& nodes);

// The same by plain operations on blocks, and by one mask of all tokens: the tests' references.
at::Tensor tree_attention_plain(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const std::vector<TreeNode>& nodes);
at::Tensor tree_attention_reference(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                    const std::vector<TreeNode>& nodes);

}  // namespace facellm

// Sequences that begin alike, laid out as trees: what they share stands once, in preorder, behind it what each goes on with.
#pragma once

#include <cstdint>
#include <vector>

#include "layers/tree_attention.h"

namespace facellm {

struct TokenLayout {
  std::vector<TreeNode> nodes;
  std::vector<int64_t> tokens;               // of all nodes, one behind another
  std::vector<std::vector<int64_t>> places;  // of each sequence's tokens among them
};

// Beginnings of fewer tokens are not shared: the attentions that another node takes would cost more than they save.
constexpr int64_t kLeastShared = 16;

// Tokens are equal where their numbers are. shares false: each sequence is a tree of its own.
TokenLayout lay_out_tokens(const std::vector<std::vector<int64_t>>& sequences, bool shares);

}  // namespace facellm

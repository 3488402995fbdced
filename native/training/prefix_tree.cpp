#include "training/prefix_tree.h"

#include <algorithm>
#include <memory>

namespace facellm {
namespace {

struct Node {
  std::vector<int64_t> tokens;
  std::vector<size_t> sequences;  // that go through it, or end in it
  std::vector<std::unique_ptr<Node>> children;
};

int64_t common(const std::vector<int64_t>& node, const std::vector<int64_t>& sequence, size_t from) {
  const auto end = node.begin() + static_cast<int64_t>(std::min(node.size(), sequence.size() - from));
  return std::mismatch(node.begin(), end, sequence.begin() + static_cast<int64_t>(from)).first - node.begin();
}

void split(Node& node, int64_t count) {
  auto rest = std::make_unique<Node>();
  rest->tokens.assign(node.tokens.begin() + count, node.tokens.end());
  rest->sequences = node.sequences;
  rest->children = std::move(node.children);
  node.tokens.resize(static_cast<size_t>(count));
  node.children.clear();
  node.children.push_back(std::move(rest));
}

void insert(Node& root, const std::vector<int64_t>& sequence, size_t index, bool shares) {
  Node* node = &root;
  size_t from = 0;
  while (from < sequence.size()) {
    Node* next = nullptr;
    int64_t shared = 0;
    for (const auto& child : node->children) {
      const int64_t count = shares ? common(child->tokens, sequence, from) : 0;
      if (count >= kLeastShared && count > shared) {
        next = child.get();
        shared = count;
      }
    }
    if (next == nullptr) {
      auto own = std::make_unique<Node>();
      own->tokens.assign(sequence.begin() + static_cast<int64_t>(from), sequence.end());
      own->sequences.push_back(index);
      node->children.push_back(std::move(own));
      return;
    }
    if (shared < static_cast<int64_t>(next->tokens.size())) split(*next, shared);
    next->sequences.push_back(index);
    node = next;
    from += static_cast<size_t>(shared);
  }
}

void append(const Node& node, int64_t start, TokenLayout& layout) {
  const auto begin = static_cast<int64_t>(layout.tokens.size());
  const auto count = static_cast<int64_t>(node.tokens.size());
  const size_t own = layout.nodes.size();
  layout.nodes.push_back({count, start, 0});
  layout.tokens.insert(layout.tokens.end(), node.tokens.begin(), node.tokens.end());
  for (const size_t sequence : node.sequences) {
    for (int64_t place = begin; place < begin + count; ++place) layout.places[sequence].push_back(place);
  }
  for (const auto& child : node.children) append(*child, start + count, layout);
  layout.nodes[own].descendants = static_cast<int64_t>(layout.tokens.size()) - begin - count;
}

}  // namespace

TokenLayout lay_out_tokens(const std::vector<std::vector<int64_t>>& sequences, bool shares) {
  Node root;
  for (size_t i = 0; i < sequences.size(); ++i) insert(root, sequences[i], i, shares);
  TokenLayout layout;
  layout.places.resize(sequences.size());
  for (const auto& child : root.children) append(*child, 0, layout);
  return layout;
}

}  // namespace facellm

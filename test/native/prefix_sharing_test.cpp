// Samples that begin alike, computed once: the layout, the attention over it, and gradients as without.
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>
#include <limits>
#include <numeric>

#include "devices.h"
#include "layers/tree_attention.h"
#include "training/prefix_tree.h"

namespace facellm {
namespace {

std::vector<int64_t> sequence(std::initializer_list<std::pair<int64_t, int64_t>> stretches) {  // first number, count
  std::vector<int64_t> result;
  for (const auto& [first, count] : stretches) {
    for (int64_t i = 0; i < count; ++i) result.push_back(first + i);
  }
  return result;
}

// Every sequence reads as it was, every token stands behind what it follows, and nothing that could be shared is not.
TEST(PrefixTree, SequencesReadAsTheyWere) {
  const auto prefix = sequence({{0, 40}}), question = sequence({{100, 20}});
  std::vector<std::vector<int64_t>> sequences;
  for (int64_t i = 0; i < 3; ++i) {
    auto own = prefix;
    own.insert(own.end(), question.begin(), question.end());
    for (int64_t k = 0; k < 5 + i; ++k) own.push_back(1000 * (i + 1) + k);
    sequences.push_back(own);
  }
  sequences.push_back(sequence({{0, 40}, {500, 30}}));
  sequences.push_back(sequence({{7000, 9}}));
  sequences.push_back(sequences[1]);                 // a sample twice, but for its last tokens, which are few
  sequences.push_back(prefix);                       // ends where others go on
  sequences.push_back(sequence({{7000, 5}, {1, 8}}));  // begins alike for too short
  for (const bool shares : {false, true}) {
    const auto layout = lay_out_tokens(sequences, shares);
    int64_t begin = 0;
    for (const auto& node : layout.nodes) begin += node.count;
    EXPECT_EQ(begin, static_cast<int64_t>(layout.tokens.size()));
    const auto positions = positions_of(layout.nodes);
    for (size_t i = 0; i < sequences.size(); ++i) {
      ASSERT_EQ(layout.places[i].size(), sequences[i].size());
      for (size_t t = 0; t < sequences[i].size(); ++t) {
        EXPECT_EQ(layout.tokens[static_cast<size_t>(layout.places[i][t])], sequences[i][t]);
        EXPECT_EQ(positions[static_cast<size_t>(layout.places[i][t])], static_cast<int64_t>(t));
      }
    }
    const int64_t all = std::accumulate(sequences.begin(), sequences.end(), int64_t{0},
                                        [](int64_t sum, const auto& own) { return sum + static_cast<int64_t>(own.size()); });
    EXPECT_EQ(static_cast<int64_t>(layout.tokens.size()), shares ? 40 + 20 + 5 + 6 + 7 + 30 + 9 + 6 + 13 : all);
    EXPECT_EQ(has_branches(layout.nodes), shares);
  }
}

struct Heads {
  at::Tensor q, k, v;
};

// Two trees, one of three levels, and a sequence of one token.
const std::vector<TreeNode> kNodes{{5, 0, 16}, {3, 5, 5}, {4, 8}, {1, 8}, {8, 5}, {1}, {6, 0, 2}, {2, 6}};
constexpr int64_t kTokens = 30;

Heads random_heads(const at::TensorOptions& options) {
  // As the model has them: [1, H, T, E] of memory [1, T, H, E].
  const auto make = [&](int64_t heads) {
    return at::randn({1, kTokens, heads, 8}, at::kDouble).to(options).transpose(1, 2).set_requires_grad(true);
  };
  return {make(6), make(2), make(2)};
}

at::Tensor tree_mask(const std::vector<TreeNode>& nodes) {
  const auto sees = at::zeros({kTokens, kTokens}, at::kBool);
  int64_t begin = 0;
  for (const auto& node : nodes) {
    const int64_t end = begin + node.count;
    sees.slice(0, begin, end).slice(1, begin, end).copy_(at::ones({node.count, node.count}, at::kBool).tril());
    sees.slice(0, end, end + node.descendants).slice(1, begin, end).fill_(true);
    begin = end;
  }
  return sees;
}

// Of the output's elements in the loss: numbers that bf16 holds exactly.
at::Tensor output_weights() { return at::arange(1, kTokens * 48 + 1, at::kDouble).cos().to(at::kBFloat16).to(at::kDouble); }

// How far each element of the output and of the gradients may be off, where every product and sum is off by `unit` of the sum of its
// terms' sizes and what is stored is rounded to `unit`: the output by its value and its terms; the gradients by theirs, and by
// delta = sum(grad out), which is made of the output as it was stored.
std::vector<at::Tensor> bounds(const Heads& given, const std::vector<at::Tensor>& expected, double unit) {
  const auto q = given.q.detach();
  const int64_t kv_heads = given.k.size(1), group = q.size(1) / kv_heads;
  const auto repeat = [&](const at::Tensor& x) { return x.detach().repeat_interleave(group, 1); };
  const auto ungroup = [&](const at::Tensor& x) { return x.unflatten(1, {kv_heads, group}).sum(2); };
  const auto k = repeat(given.k), v = repeat(given.v);
  const auto heads = [&](const at::Tensor& x) { return x.unflatten(2, {q.size(1), q.size(3)}).transpose(1, 2); };
  const double scale = 1 / std::sqrt(static_cast<double>(q.size(3)));
  auto scores = at::matmul(q, k.transpose(-2, -1)) * scale;
  scores.masked_fill_(tree_mask(kNodes).logical_not(), -std::numeric_limits<double>::infinity());
  const auto p = at::softmax(scores, -1), grad = heads(output_weights().view({1, kTokens, 48})), out = heads(expected[0]);
  const auto of_out = unit * (out.abs() + at::matmul(p, v.abs()));
  const auto delta = (grad * out).sum(-1, true), of_delta = (grad.abs() * of_out).sum(-1, true);
  const auto of_p = at::matmul(grad.abs(), v.abs().transpose(-2, -1));
  const auto off = p * (unit * (of_p + delta.abs()) + of_delta) * scale;
  const auto bound = [&](const at::Tensor& result, const at::Tensor& by) { return unit * result.abs() + by; };
  return {of_out.transpose(1, 2).flatten(2), bound(expected[1], at::matmul(off, k.abs())),
          bound(expected[2], ungroup(at::matmul(off.transpose(-2, -1), q.abs()))),
          bound(expected[3], ungroup(unit * at::matmul(p.transpose(-2, -1), grad.abs())))};
}

std::vector<at::Tensor> results(const std::function<at::Tensor(const Heads&)>& function, const Heads& given) {
  const auto leaf = [](const at::Tensor& x) { return x.detach().clone(at::MemoryFormat::Preserve).set_requires_grad(true); };
  const Heads own{leaf(given.q), leaf(given.k), leaf(given.v)};
  const c10::AutoGradMode grad_mode(true);
  const auto out = function(own);
  (out * output_weights().view(out.sizes()).to(out.options())).sum().backward();
  return {out.detach(), own.q.grad(), own.k.grad(), own.v.grad()};
}

TEST(TreeAttention, BlocksEqualOneMaskOfAllTokens) {
  at::manual_seed(3);
  for (const auto& device : test_devices()) {
    for (const auto dtype : {at::kDouble, at::kFloat, at::kBFloat16}) {
      SCOPED_TRACE(device + " " + at::toString(dtype));
      const auto given = random_heads(at::TensorOptions(dtype).device(at::Device(device)));
      const auto wide = [](const at::Tensor& x) { return x.detach().cpu().to(at::kDouble); };
      const Heads exact{wide(given.q), wide(given.k), wide(given.v)};
      const auto expected = results([](const Heads& h) { return tree_attention_reference(h.q, h.k, h.v, kNodes); }, exact);
      // In bf16 probabilities, each block's part and the whole are rounded once, sums are of fp32. Else sums of 30 terms and of 8, and
      // a probability is off by its score's 8 products of order one, and by its sum's.
      const double unit = dtype == at::kDouble ? 64 * 0x1p-53 : dtype == at::kFloat ? 64 * 0x1p-24 : 2 * 0x1p-9;
      const auto allowed = bounds(exact, expected, unit);
      for (const auto& attend : {tree_attention, tree_attention_plain}) {
        const auto actual = results([&](const Heads& h) { return attend(h.q, h.k, h.v, kNodes); }, given);
        for (size_t i = 0; i < expected.size(); ++i) {
          const auto share = ((wide(actual[i]) - expected[i]).abs() / allowed[i]).max().item<double>();
          EXPECT_LE(share, 1) << "result " << i;
        }
      }
    }
  }
}

TEST(TreeAttention, GradientsAreFiniteDifferences) {
  at::manual_seed(4);
  const auto given = random_heads(at::kDouble);
  const auto weights = output_weights().view({1, kTokens, 48});
  const auto grads = results([](const Heads& h) { return tree_attention(h.q, h.k, h.v, kNodes); }, given);
  const std::vector<at::Tensor> inputs{given.q, given.k, given.v};
  const c10::NoGradGuard no_grad;
  constexpr double kStep = 1e-5;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const auto direction = at::randn_like(inputs[i]);
    const auto value = [&](double by) {
      auto moved = inputs;
      moved[i] = moved[i] + by * direction;
      return (tree_attention(moved[0], moved[1], moved[2], kNodes) * weights).sum().item<double>();
    };
    const double expected = (value(kStep) - value(-kStep)) / (2 * kStep);
    // The third derivative times the step's square, and the roundings of a sum of 1440 terms over the step.
    EXPECT_NEAR((grads[i + 1] * direction).sum().item<double>(), expected, 1e-7 * std::max(1.0, std::abs(expected))) << i;
  }
}

}  // namespace
}  // namespace facellm

#include "generation/invariance_check.h"

#include <ATen/CPUGeneratorImpl.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <set>

#include "core/error.h"
#include "generation/step_engine_limits.h"
#include "kernels/product/product.h"
#include "kernels/swiglu/swiglu.h"
#include "layers/attention.h"
#include "layers/invariant_attention.h"

namespace facellm {
namespace {

using RowFunction = std::function<at::Tensor(const at::Tensor&)>;

bool has_equal_bits(const at::Tensor& a, const at::Tensor& b) {
  const auto x = a.contiguous(), y = b.contiguous();
  return x.nbytes() == y.nbytes() && std::memcmp(x.const_data_ptr(), y.const_data_ptr(), x.nbytes()) == 0;
}

class Checker {
 public:
  Checker(const InternVl& model, const Cancellation& cancellation)
      : options_(model.options()), multiple_(invariant_row_multiple(model.options())), cancellation_(cancellation) {}

  at::Tensor random(at::IntArrayRef shape) { return at::randn(shape, generator_, at::kFloat).to(options_); }

  // Rows of `function` on [T, width], where T is at most `most`.
  void rows(const std::string& name, int64_t width, int64_t most, const RowFunction& function) {
    const auto x = random({most, width});
    const auto wanted = function(x);
    // All multiples up to eight times, then fewer: kernels change where few rows become many.
    for (int64_t count = multiple_; count < most; count += count < 8 * multiple_ ? multiple_ : 7 * multiple_) {
      cancellation_.check();
      for (const int64_t begin : {int64_t{0}, most - count}) {
        if (has_equal_bits(function(x.narrow(0, begin, count).clone()), wanted.narrow(0, begin, count))) continue;
        problems_.push_back(name + ": a row among " + std::to_string(count) + " is not what it is among " +
                            std::to_string(most));
        return;
      }
    }
  }

  // Of the language model's linear layers, one of each shape; with_adapters: those that have a part in one.
  void products(InternVl& model, bool with_adapters) {
    std::set<std::pair<int64_t, int64_t>> seen;
    for (const auto& site : model.linears()) {
      const auto& linear = *site.linear;
      const bool is_text = site.slices[0].name.starts_with("language_model.");
      if (!is_text || (linear.extension != nullptr) != with_adapters) continue;
      if (!seen.emplace(linear.weight.size(1), linear.weight.size(0)).second) continue;
      rows("the product of " + site.slices[0].name, linear.weight.size(1), kInvariantRows, linear);
    }
  }

  void attention(const TextConfig& text) {
    // More than one stretch of keys, and chunks that end anywhere. Slot 0 stays zeros, as the engine's spare one.
    constexpr int64_t kTokens = kKeyStretch + 88;
    const auto keys = random({text.num_key_value_heads, 1 + kTokens, text.head_dim});
    const auto values = random({text.num_key_value_heads, 1 + kTokens, text.head_dim});
    keys.select(1, 0).zero_();
    values.select(1, 0).zero_();
    const auto q = random({text.num_attention_heads, kTokens, text.head_dim});
    // Prompts and answers, then trees, whose masks go by libtorch's kernel whatever the processor has: here the causal one.
    for (const bool is_tree : {false, true}) attention(q, keys, values, is_tree);
  }

  void attention(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& values, bool is_tree) {
    const int64_t tokens = q.size(1);
    const auto chunk = [&](int64_t begin, int64_t end) {
      cancellation_.check();
      auto slots = at::arange(1, end + 1, at::kLong);
      slots = at::constant_pad_nd(slots, {0, (kKeyStretch - end % kKeyStretch) % kKeyStretch}, 0);
      std::vector<Segment> segments{{0, end - begin, end, -1, slots, is_tree ? causal_mask(end - begin, end, at::kCPU) : at::Tensor()}};
      complete_invariant_masks(segments, q.size(2), options_);
      return invariant_attention(q.narrow(1, begin, end - begin), keys, values, segments);
    };
    std::vector<at::Tensor> parts;
    for (int64_t begin = 0; begin < tokens; begin += kInvariantRows) {
      parts.push_back(chunk(begin, std::min(begin + kInvariantRows, tokens)));
    }
    const auto wanted = at::cat(parts);
    for (const int64_t begin : {0, 1, 7, 63, 64, 255, 300, 505, 511, 512, 599}) {
      for (const int64_t count : {1, 2, 3, 5, 8, 13, 24, 33, 64, 100}) {
        if (begin + count > tokens) break;
        if (has_equal_bits(chunk(begin, begin + count), wanted.narrow(0, begin, count))) continue;
        problems_.push_back(std::string(is_tree ? "attention of trees: " : "attention: ") + std::to_string(count) + " queries from token " + std::to_string(begin) +
                            " on are not what they are in a longer chunk");
        return;
      }
    }
  }

  void finish() {
    if (problems_.empty()) return;
    throw Error(ErrorCode::kNotDeterministic,
                "deterministic: on this processor an answer would depend on who else is answered; load without "
                "deterministic, or try another dtype or number of threads",
                std::move(problems_));
  }

 private:
  at::TensorOptions options_;
  int64_t multiple_;
  const Cancellation& cancellation_;
  at::Generator generator_ = at::make_generator<at::CPUGeneratorImpl>(20261127);
  std::vector<std::string> problems_;
};

}  // namespace

void require_known_kernels(const std::string& device) {
  if (device == "cpu") return;
  throw Error(ErrorCode::kNotDeterministic,
              "deterministic: offered on device cpu only, got " + device +
                  ". On a GPU libtorch picks the algorithm of a product by its number of rows, so that an answer depends "
                  "on who else is answered; kernels of our own that do not have yet to be measured");
}

void require_invariant(InternVl& model, const Cancellation& cancellation) {
  const c10::InferenceMode inference;
  const auto& text = model.config().text;
  const auto& language_model = model.language_model();
  Checker checker(model, cancellation);
  checker.products(model, false);
  checker.attention(text);
  checker.rows("the norm", text.hidden_size, kInvariantRows,
               [&](const at::Tensor& x) { return language_model.final_norm(x); });
  checker.rows("the activation", 2 * text.intermediate_size, kInvariantRows, swiglu);
  // Rows that choose are few, and their logits large.
  const int64_t choosers = std::max<int64_t>(64, 2 * invariant_row_multiple(model.options()));
  checker.rows("the product of language_model.lm_head", text.hidden_size, choosers, [&](const at::Tensor& x) {
    const auto logits = language_model.logits(x, {}).to(at::kFloat);
    return at::cat({logits, logits.logsumexp(-1, true)}, -1);
  });
  checker.finish();
}

void require_invariant_adapter(InternVl& model, AdapterStacks& stacks, int64_t id) {
  const c10::InferenceMode inference;
  stacks.set_all_rows(stacks.serial_of({id}));
  const Cancellation never;
  Checker checker(model, never);
  checker.products(model, true);
  stacks.set_all_rows(0);
  checker.finish();
}

}  // namespace facellm

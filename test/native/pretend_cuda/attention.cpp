// Fused attention: which kernel libtorch's CUDA build takes on a card of compute capability 8.0 (sdp_utils.cpp), what memory
// its results have (flash_api.cpp, attention.cu; libtorch 2.13), and both directions in fp32 with one rounding at the end.
#include <ATen/ATen.h>
#include <ATen/native/transformers/attention.h>
#include <ATen/native/transformers/sdp_utils_cpp.h>
#include <c10/core/GradMode.h>
#include <torch/library.h>

#include <cmath>
#include <limits>

#include "alias.h"
#include "device_state.h"
#include "graph.h"
#include "record.h"
#include "stream_order.h"

namespace pretend_cuda {
namespace {

using at::Tensor;
using MaybeTensor = std::optional<Tensor>;

bool prefers_cudnn = false;

int64_t choose(const Tensor& q, const Tensor& k, const Tensor& v, const MaybeTensor& mask, double, bool is_causal, std::optional<double>,
               bool enable_gqa) {
  const bool is_half = q.scalar_type() == at::kBFloat16 || q.scalar_type() == at::kHalf;
  const bool is_square = q.size(2) == k.size(2), has_equal_heads = q.size(1) == k.size(1);
  const bool is_mask_learnt = mask && mask->requires_grad() && c10::GradMode::is_enabled();
  const bool has_last_stride = q.stride(-1) == 1 && k.stride(-1) == 1 && v.stride(-1) == 1;
  if (is_half && !mask && q.size(3) <= 256 && (!is_causal || is_square) && (has_equal_heads || enable_gqa) && has_last_stride) {
    const bool is_learnt = c10::GradMode::is_enabled() && (q.requires_grad() || k.requires_grad() || v.requires_grad());
    return static_cast<int64_t>(prefers_cudnn && is_learnt ? sdp::SDPBackend::cudnn_attention : sdp::SDPBackend::flash_attention);
  }
  // 16-byte loads on tensor cores, and no grouped heads in this version.
  const int64_t alignment = is_half ? 8 : 4;
  if (has_equal_heads && !is_mask_learnt && has_last_stride && q.size(3) % alignment == 0 && v.size(3) % alignment == 0) {
    return static_cast<int64_t>(sdp::SDPBackend::efficient_attention);
  }
  return static_cast<int64_t>(sdp::SDPBackend::math);
}

// All of it on host aliases, [B, H, T, E] as fp32.
struct Problem {
  Tensor q, k, v, bias;
  bool is_causal;
  double scale;
  int64_t group;  // query heads a key head

  Problem(HostAliases& aliases, const Tensor& query, const Tensor& key, const Tensor& value, const MaybeTensor& mask, bool causal,
          std::optional<double> given)
      : q(aliases.of(query).to(at::kFloat)), is_causal(causal),
        scale(given ? *given : 1 / std::sqrt(static_cast<double>(query.size(3)))), group(query.size(1) / key.size(1)) {
    const auto wide = [&](const Tensor& x) { return aliases.of(x).to(at::kFloat).repeat_interleave(group, 1); };
    k = wide(key);
    v = wide(value);
    if (mask && mask->defined()) bias = aliases.of(*mask).to(at::kFloat);
  }
  Tensor scores() const {
    auto s = at::matmul(q, k.transpose(-2, -1)).mul_(scale);
    if (bias.defined()) s = s + bias;
    if (is_causal) {
      const auto hidden = at::ones({q.size(2), k.size(2)}, at::kBool).triu(1);
      s.masked_fill_(hidden, -std::numeric_limits<float>::infinity());
    }
    return s;
  }
  Tensor ungrouped(const Tensor& x) const {  // the gradient of repeat_interleave
    return x.view({x.size(0), x.size(1) / group, group, x.size(2), x.size(3)}).sum(2);
  }
};

void write(const Tensor& target, const Tensor& values) {
  HostAliases aliases;
  auto own = aliases.of(target);
  note_use(target.storage().data(), Use::kWrite);
  own.copy_(values);
}

void book(const char* name, std::initializer_list<Tensor> tensors) {
  note_operation(name);
  if (!is_in_step()) return;
  std::string line = name;
  for (const auto& x : tensors) line += " " + text_of(x);
  add_line(std::move(line));
}

void attend(const Tensor& out, const Tensor& log_sums, const Tensor& q, const Tensor& k, const Tensor& v, const MaybeTensor& mask,
            bool is_causal, std::optional<double> scale) {
  const auto work = [=] {
    const Inside inside;
    HostAliases aliases;
    const Problem problem(aliases, q, k, v, mask, is_causal, scale);
    const auto scores = problem.scores();
    const auto sums = scores.logsumexp(-1);
    // A row that may attend to nothing is zero.
    const auto weights = (scores - sums.unsqueeze(-1)).exp().nan_to_num(0.0);
    write(out, at::matmul(weights, problem.v));
    if (log_sums.defined()) write(log_sums.narrow(2, 0, sums.size(2)), sums);
  };
  if (!is_inside()) record_node(work);
  work();
}

std::array<Tensor, 4> gradients(const Tensor& grad, const Tensor& q, const Tensor& k, const Tensor& v, const MaybeTensor& mask, const Tensor& out,
                                const Tensor& log_sums, bool is_causal, std::optional<double> scale) {
  TORCH_CHECK(!is_recording(), "pretend_cuda: gradients of attention are not recorded");
  const auto make = [](const Tensor& like) {  // in memory [B, T, H, E]
    return at::empty({like.size(0), like.size(2), like.size(1), like.size(3)}, like.options()).transpose(1, 2);
  };
  std::array<Tensor, 4> result{make(q), make(k), make(v), Tensor()};
  const Inside inside;
  HostAliases aliases;
  const Problem problem(aliases, q, k, v, mask, is_causal, scale);
  const auto sums = aliases.of(log_sums).narrow(2, 0, q.size(2)).unsqueeze(-1);
  const auto weights = (problem.scores() - sums).exp().nan_to_num(0.0);
  const auto own_grad = aliases.of(grad).to(at::kFloat);
  const auto delta = (own_grad * aliases.of(out).to(at::kFloat)).sum(-1, true);
  const auto of_scores = weights * (at::matmul(own_grad, problem.v.transpose(-2, -1)) - delta);
  write(result[0], at::matmul(of_scores, problem.k) * problem.scale);
  write(result[1], problem.ungrouped(at::matmul(of_scores.transpose(-2, -1), problem.q) * problem.scale));
  write(result[2], problem.ungrouped(at::matmul(weights.transpose(-2, -1), own_grad)));
  return result;
}

std::tuple<Tensor, Tensor, Tensor, Tensor, c10::SymInt, c10::SymInt, Tensor, Tensor, Tensor> flash(
    const Tensor& q, const Tensor& k, const Tensor& v, double dropout, bool is_causal, bool, std::optional<double> scale) {
  TORCH_CHECK(dropout == 0, "pretend_cuda: attention has no dropout");
  book("flash_attention", {q, k, v});
  // One query and grouped heads: heads are rows in the kernel, and the result is put in order. Else as q lies.
  const bool swaps = q.size(2) == 1 && q.size(1) > k.size(1);
  const auto out = swaps ? at::empty(q.sizes(), q.options()) : at::empty_like(q.transpose(1, 2)).transpose(1, 2);
  const auto log_sums = at::empty({q.size(0), q.size(1), q.size(2)}, q.options().dtype(at::kFloat));
  const auto numbers = at::empty({2}, q.options().dtype(at::kUInt64));
  attend(out, log_sums, q, k, v, std::nullopt, is_causal, scale);
  return {out, log_sums, {}, {}, q.size(2), k.size(2), numbers, at::empty({}, numbers.options()), {}};
}

std::tuple<Tensor, Tensor, Tensor> flash_backward(const Tensor& grad, const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& out,
                                                  const Tensor& log_sums, const Tensor&, const Tensor&, c10::SymInt, c10::SymInt,
                                                  double, bool is_causal, const Tensor&, const Tensor&, std::optional<double> scale) {
  book("flash_attention_backward", {grad, q, k, v, out});
  const auto all = gradients(grad, q, k, v, std::nullopt, out, log_sums, is_causal, scale);
  return {all[0], all[1], all[2]};
}

std::tuple<Tensor, Tensor, Tensor, Tensor> efficient(const Tensor& q, const Tensor& k, const Tensor& v, const MaybeTensor& mask,
                                                     bool computes_log_sums, double dropout, bool is_causal, std::optional<double> scale) {
  TORCH_CHECK(dropout == 0, "pretend_cuda: attention has no dropout");
  book("efficient_attention", {q, k, v, mask ? *mask : Tensor()});
  constexpr int64_t kRows = 32;  // log sums are padded to as many
  const auto out = at::empty({q.size(0), q.size(2), q.size(1), v.size(3)}, q.options()).transpose(1, 2);
  const int64_t rows = computes_log_sums ? (q.size(2) + kRows - 1) / kRows * kRows : 0;
  const auto log_sums = at::empty({q.size(0), q.size(1), rows}, q.options().dtype(at::kFloat));
  attend(out, computes_log_sums ? log_sums : Tensor(), q, k, v, mask, is_causal, scale);
  const auto number = at::empty({}, q.options().dtype(at::kLong));
  return {out, log_sums, number, at::empty_like(number)};
}

std::tuple<Tensor, Tensor, Tensor, Tensor> efficient_backward(const Tensor& grad, const Tensor& q, const Tensor& k, const Tensor& v,
                                                              const Tensor& bias, const Tensor& out, const Tensor& log_sums, const Tensor&,
                                                              const Tensor&, double, std::array<bool, 4> wanted, bool is_causal,
                                                              std::optional<double> scale) {
  if (!grad.defined()) return {};
  TORCH_CHECK(!wanted[3], "pretend_cuda: no gradient of a mask");
  book("efficient_attention_backward", {grad, q, k, v, bias, out});
  const auto all = gradients(grad, q, k, v, bias, out, log_sums, is_causal, scale);
  return {all[0], all[1], all[2], {}};
}

}  // namespace

TORCH_LIBRARY_IMPL(aten, CUDA, m) {
  m.impl("_fused_sdp_choice", &choose);
  m.impl("_scaled_dot_product_flash_attention", &flash);
  m.impl("_scaled_dot_product_flash_attention_backward", &flash_backward);
  m.impl("_scaled_dot_product_efficient_attention", &efficient);
  m.impl("_scaled_dot_product_efficient_attention_backward", &efficient_backward);
}

void prefer_cudnn(bool does) { prefers_cudnn = does; }

const auto chooser = &choose;

}  // namespace pretend_cuda

namespace at::native {
REGISTER_CUDA_DISPATCH(_fused_sdp_choice_stub, pretend_cuda::chooser)
}  // namespace at::native

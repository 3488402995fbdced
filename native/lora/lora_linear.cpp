#include "lora/lora_linear.h"

#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <utility>

#include "core/mixed_seed.h"
#include "kernels/product/product.h"
#include "layers/frozen_capsule.h"
#include "lora/dropout.h"

namespace facellm {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Where a slice stands in the output, and its scale; the part that autograd need not see.
struct Layout {
  std::vector<std::pair<int64_t, int64_t>> rows;  // begin, count
  std::vector<double> scalings;
};

// All A matrices as one, so that x is read once: [sum of ranks, in].
at::Tensor joined(at::TensorList matrices, at::ScalarType dtype) {
  std::vector<at::Tensor> parts;
  for (const auto& m : matrices) parts.push_back(m.to(dtype));
  return parts.size() == 1 ? parts[0] : at::cat(parts);
}

// out[:, rows] += s u_i B_i^T. out [T, N], u [T, sum of ranks].
void add_slices(at::Tensor& out, const at::Tensor& u, at::TensorList bs, const Layout& layout) {
  int64_t column = 0;
  for (size_t i = 0; i < bs.size(); ++i) {
    const auto b = bs[i].to(out.scalar_type());
    const auto [begin, count] = layout.rows[i];
    const int64_t rank = b.size(1);
    add_product(out.narrow(1, begin, count), u.narrow(1, column, rank), b.t(), layout.scalings[i]);
    column += rank;
  }
}

struct LoraFunction : torch::autograd::Function<LoraFunction> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
                            const std::optional<at::Tensor>& bias, at::TensorList as, at::TensorList bs,
                            const std::shared_ptr<const FrozenWeight>& frozen, const std::shared_ptr<Layout>& layout) {
    const auto rows = x.reshape({-1, x.size(-1)});
    const auto u = product(rows, joined(as, x.scalar_type()).t());
    FrozenCapsule::keep(context, frozen);
    auto out = linear_product(rows, frozen ? frozen->whole() : weight, bias.value_or(at::Tensor()));
    add_slices(out, u, bs, *layout);
    variable_list saved{x, weight, u};
    saved.insert(saved.end(), as.begin(), as.end());
    saved.insert(saved.end(), bs.begin(), bs.end());
    context->save_for_backward(saved);
    std::vector<int64_t> numbers;
    for (const auto& [begin, count] : layout->rows) {
      numbers.push_back(begin);
      numbers.push_back(count);
    }
    context->saved_data["rows"] = numbers;
    context->saved_data["scalings"] = layout->scalings;
    auto shape = x.sizes().vec();
    shape.back() = out.size(1);
    return out.view(shape);
  }

  static variable_list backward(AutogradContext* context, variable_list grads) {
    const auto saved = context->get_saved_variables();
    const auto rows = context->saved_data["rows"].toIntVector();
    const auto scalings = context->saved_data["scalings"].toDoubleVector();
    const size_t count = scalings.size();
    const auto &x = saved[0], &weight = saved[1], &u = saved[2];
    const auto dy = grads[0].reshape({-1, grads[0].size(-1)});
    const auto dtype = dy.scalar_type();
    const auto flat_x = x.reshape({-1, x.size(-1)});
    const auto as = at::TensorList(saved.data() + 3, count);
    const auto bs = at::TensorList(saved.data() + 3 + count, count);

    std::vector<at::Tensor> vs;  // s dy_i B_i: gradients of u
    variable_list das(count), dbs(count);
    int64_t column = 0;
    for (size_t i = 0; i < count; ++i) {
      const int64_t rank = as[i].size(0);
      const auto own = dy.narrow(1, rows[2 * i], rows[2 * i + 1]);
      vs.push_back(product(own, bs[i].to(dtype)).mul_(scalings[i]));
      if (bs[i].requires_grad()) {
        dbs[i] = product(own.t(), u.narrow(1, column, rank)).to(bs[i].scalar_type()).mul_(scalings[i]);
      }
      column += rank;
    }
    const auto v = vs.size() == 1 ? vs[0] : at::cat(vs, 1);
    const auto da = product(v.t(), flat_x);
    column = 0;
    for (size_t i = 0; i < count; ++i) {
      const int64_t rank = as[i].size(0);
      if (as[i].requires_grad()) das[i] = da.narrow(0, column, rank).to(as[i].scalar_type());
      column += rank;
    }
    at::Tensor dx;
    if (context->needs_input_grad(0)) {
      const auto frozen = FrozenCapsule::kept(context);
      dx = product(dy, frozen ? frozen->whole() : weight);
      add_product(dx, v, joined(as, dtype), 1);
      dx = dx.view(x.sizes());
    }
    variable_list result{dx, at::Tensor(), at::Tensor()};  // x, weight, bias
    result.insert(result.end(), das.begin(), das.end());
    result.insert(result.end(), dbs.begin(), dbs.end());
    result.resize(result.size() + 2);  // frozen, layout
    return result;
  }
};

}  // namespace

at::Tensor row_norms(const at::Tensor& weight, const LoraSlice& slice) {
  const c10::NoGradGuard no_grad;
  const auto delta = at::mm(slice.b.to(at::kFloat), slice.a.to(at::kFloat)).mul_(slice.scaling);
  return at::linalg_vector_norm(delta.add_(weight), 2, {1});
}

at::Tensor lora_linear(const at::Tensor& x, const Linear& base, const std::vector<LoraSlice>& slices) {
  const auto layout = std::make_shared<Layout>();
  std::vector<at::Tensor> as, bs;
  for (const auto& slice : slices) {
    layout->rows.emplace_back(slice.begin, slice.count);
    layout->scalings.push_back(slice.scaling);
    as.push_back(slice.a);
    bs.push_back(slice.b);
  }
  if (!c10::GradMode::is_enabled()) {
    const auto rows = x.reshape({-1, x.size(-1)});
    auto out = base.product(rows);
    add_slices(out, product(rows, joined(as, x.scalar_type()).t()), bs, *layout);
    auto shape = x.sizes().vec();
    shape.back() = out.size(1);
    return out.view(shape);
  }
  // Autograd's functions take no undefined tensor.
  const auto bias = base.bias.defined() ? std::make_optional(base.bias) : std::nullopt;
  return LoraFunction::apply(x, base.weight, bias, at::TensorList(as), at::TensorList(bs), base.frozen, layout);
}

at::Tensor lora_linear_reference(const at::Tensor& x, const Linear& base,
                                 const std::vector<LoraSlice>& slices, const LoraDropout& dropout,
                                 uint64_t place) {
  auto out = base.product(x);
  std::vector<at::Tensor> pieces;  // of the output, slices by rows
  uint64_t index = 0;
  for (const auto& slice : slices) {
    const auto input = dropout.probability > 0
                           ? drop(x, dropout.probability, mixed_seed(mixed_seed(dropout.seed, place), index))
                           : x;
    ++index;
    const auto u = linear_product(input, slice.a.to(x.scalar_type()));
    auto delta = linear_product(u, slice.b.to(x.scalar_type())) * slice.scaling;
    if (slice.magnitude.defined()) {
      const auto weight = base.weight_rows(slice.begin, slice.count);
      // fp32: near 1, where training begins, bf16 would round the gain away.
      const auto ratio = slice.magnitude / row_norms(weight, slice);
      auto product = out.narrow(-1, slice.begin, slice.count);
      if (base.bias.defined()) product = product - base.bias.narrow(0, slice.begin, slice.count);
      delta = ((ratio - 1) * product + ratio * delta).to(x.scalar_type());
    }
    const auto before = out.narrow(-1, 0, slice.begin);
    const auto own = out.narrow(-1, slice.begin, slice.count) + delta;
    const int64_t end = slice.begin + slice.count;
    out = at::cat({before, own, out.narrow(-1, end, out.size(-1) - end)}, -1);
  }
  return out;
}

at::Tensor LoraExtension::forward(const Linear& base, const at::Tensor& x) const {
  const bool is_plain =
      (dropout_ == nullptr || dropout_->probability == 0) &&
      std::none_of(slices_.begin(), slices_.end(), [](const auto& s) { return s.magnitude.defined(); });
  if (is_plain) return lora_linear(x, base, slices_);
  return lora_linear_reference(x, base, slices_, dropout_ ? *dropout_ : LoraDropout{}, place_);
}

at::Tensor merged_rows(const at::Tensor& weight, const LoraSlice& slice) {
  auto merged = at::mm(slice.b.to(at::kFloat), slice.a.to(at::kFloat)).mul_(slice.scaling).add_(weight);
  if (!slice.magnitude.defined()) return merged;
  const auto ratio = slice.magnitude.to(at::kFloat) / row_norms(weight, slice);
  return merged.mul_(ratio.unsqueeze(1));
}

}  // namespace facellm

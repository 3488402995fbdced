#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <memory>
#include <optional>

#include "kernels/common/checks.h"
#include "kernels/product/product.h"

namespace facellm {
namespace {

// A block of `a` is 32 MiB in fp32, one of `b` 16, one of their product 8. Larger blocks were no faster; each
// element of `b` is widened once for 2,048 rows, one of `a` once for 1,024 columns.
constexpr int64_t kMostRows = 2048, kMostColumns = 1024, kMostInner = 4096;

// Memory that is kept: fresh pages would cost as much as the widening.
float* widening_room(int64_t count) {
  thread_local std::unique_ptr<float[]> memory;
  thread_local int64_t capacity = 0;
  if (capacity < count) {
    memory.reset();
    capacity = 0;
    memory.reset(new float[static_cast<size_t>(count)]);
    capacity = count;
  }
  return memory.get();
}

// x [A, B] in fp32 at `memory`, in x's own order of dimensions: copied line by line.
at::Tensor widened(const at::Tensor& x, float* memory) {
  const auto options = at::TensorOptions(at::kFloat);
  const bool is_transposed = x.stride(0) < x.stride(1);
  const auto wide = is_transposed ? at::from_blob(memory, {x.size(1), x.size(0)}, options).t()
                                  : at::from_blob(memory, {x.size(0), x.size(1)}, options);
  return at::Tensor(wide).copy_(x);
}

struct WidenedProductFunction : torch::autograd::Function<WidenedProductFunction> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x,
                            const at::Tensor& weight, const std::optional<at::Tensor>& bias) {
    // Nothing that no gradient needs: a frozen layer keeps no activations.
    const auto if_needed = [](bool is_needed, const at::Tensor& t) { return is_needed ? t : at::Tensor(); };
    context->save_for_backward({if_needed(weight.requires_grad(), x), if_needed(x.requires_grad(), weight)});
    context->saved_data["shape"] = x.sizes();
    context->saved_data["bias"] = bias.has_value() && bias->requires_grad();
    return widened_linear(x, weight, bias.value_or(at::Tensor()));
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list grads) {
    const auto saved = context->get_saved_variables();
    const auto &x = saved[0], &weight = saved[1];
    const auto dy = grads[0].reshape({-1, grads[0].size(-1)});
    const auto times = [](const at::Tensor& a, const at::Tensor& b) {
      const auto out = at::empty({a.size(0), b.size(1)}, a.options());
      widened_product(out, a, b, {}, 0, 1);
      return out;
    };
    at::Tensor dx, dweight, dbias;
    if (context->needs_input_grad(0)) {
      dx = times(dy, weight).view(context->saved_data["shape"].toIntVector());
    }
    if (context->needs_input_grad(1)) dweight = times(dy.t(), x.reshape({-1, x.size(-1)}));
    if (context->saved_data["bias"].toBool()) dbias = dy.sum(0);
    return {dx, dweight, dbias};
  }
};

}  // namespace

void widened_product(const at::Tensor& out, const at::Tensor& a, const at::Tensor& b, const at::Tensor& bias,
                     double beta, double scale) {
  const int64_t rows = a.size(0), inner = a.size(1), columns = b.size(1);
  const int64_t block_rows = std::min(rows, kMostRows), block_columns = std::min(columns, kMostColumns),
                block_inner = std::min(inner, kMostInner);
  const int64_t a_size = block_rows * block_inner, b_size = block_columns * block_inner;
  float* const memory = widening_room(a_size + b_size + block_rows * block_columns);
  for (int64_t row = 0; row < rows; row += kMostRows) {
    const int64_t own_rows = std::min(kMostRows, rows - row);
    at::Tensor wide_a;  // kept over the columns where one block holds all of `inner`
    for (int64_t column = 0; column < columns; column += kMostColumns) {
      const int64_t own_columns = std::min(kMostColumns, columns - column);
      auto sum = at::from_blob(memory + a_size + b_size, {own_rows, own_columns}, at::TensorOptions(at::kFloat));
      if (inner == 0) sum.zero_();
      for (int64_t k = 0; k < inner; k += kMostInner) {
        const int64_t depth = std::min(kMostInner, inner - k);
        if (!wide_a.defined() || inner > kMostInner) {
          wide_a = widened(a.narrow(0, row, own_rows).narrow(1, k, depth), memory);
        }
        const auto wide_b = widened(b.narrow(0, k, depth).narrow(1, column, own_columns), memory + a_size);
        sum.addmm_(wide_a, wide_b, k == 0 ? 0 : 1, scale);
      }
      auto own = out.narrow(0, row, own_rows).narrow(1, column, own_columns);
      if (beta != 0) sum.add_(own, beta);
      if (bias.defined()) sum.add_(bias.narrow(0, column, own_columns));
      own.copy_(sum);
    }
  }
}

at::Tensor widened_linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  if (needs_autograd({x, weight, bias})) {
    // Autograd takes no undefined tensor, but an absent one.
    return WidenedProductFunction::apply(x, weight, bias.defined() ? std::make_optional(bias) : std::nullopt);
  }
  auto shape = x.sizes().vec();
  shape.back() = weight.size(0);
  const auto out = at::empty(shape, x.options());
  widened_product(out.view({-1, weight.size(0)}), x.reshape({-1, x.size(-1)}), weight.t(), bias, 0, 1);
  return out;
}

}  // namespace facellm

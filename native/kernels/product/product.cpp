#include "kernels/product/product.h"

#include "core/cpu_level.h"

namespace facellm {
namespace {

// Where b's rows lie in order libtorch's plain loop walks across them: 1 GFLOP/s, so that widening always pays.
bool widens(const at::Tensor& a, const at::Tensor& b) {
  return has_slow_products(a) && (a.size(0) >= kWidenedRows || b.stride(0) > b.stride(1));
}

}  // namespace

bool has_slow_products(const at::Tensor& x) {
  return x.scalar_type() == at::kBFloat16 && x.is_cpu() && !has_fast_bf16_products(cpu_features());
}

int64_t invariant_row_multiple(const at::TensorOptions& options) {
  // All rows by the widened path, or none; else whole groups of the fours that libtorch's fp32 kernels compute by.
  constexpr int64_t kGroup = 8;
  return has_slow_products(at::empty({0}, options)) ? kWidenedRows : kGroup;
}

at::Tensor fill_rows(const at::Tensor& x, int64_t multiple) {
  const int64_t rows = x.size(0), filled_rows = (rows + multiple - 1) / multiple * multiple;
  if (rows == filled_rows) return x;
  auto shape = x.sizes().vec();
  shape[0] = filled_rows;
  auto filled = at::zeros(shape, x.options());
  filled.narrow(0, 0, rows).copy_(x);
  return filled;
}

at::Tensor linear_product(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  const int64_t rows = x.size(-1) == 0 ? 0 : x.numel() / x.size(-1);
  return rows >= kWidenedRows && has_slow_products(x) ? widened_linear(x, weight, bias) : at::linear(x, weight, bias);
}

at::Tensor product(const at::Tensor& a, const at::Tensor& b) {
  if (!widens(a, b)) return at::mm(a, b);
  const auto out = at::empty({a.size(0), b.size(1)}, a.options());
  widened_product(out, a, b, {}, 0, 1);
  return out;
}

void add_product(const at::Tensor& out, const at::Tensor& a, const at::Tensor& b, double scale) {
  if (widens(a, b)) return widened_product(out, a, b, {}, 1, scale);
  at::Tensor(out).addmm_(a, b, 1, scale);
}

}  // namespace facellm

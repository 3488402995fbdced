#include "layers/invariant_attention.h"

#include <algorithm>
#include <limits>

#include "kernels/cpu/cpu_attention.h"
#include "kernels/product/product.h"

namespace facellm {
namespace {

// Queries of a call: whole groups, and fewer than the 192 from which on libtorch cuts them into larger blocks.
constexpr int64_t kQueryGroup = 8, kMostQueries = 160;

// One call. q [H, n, E]; k, v [1, K, S, E]; bias [n, S]. Returns [n, H, E].
at::Tensor attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& bias) {
  const int64_t kv_heads = k.size(1), groups = q.size(0) / kv_heads, count = q.size(1), size = q.size(2);
  // The heads of a group become rows of one attention, one token's beside one another.
  const int64_t rows = count * groups, filled = (rows + kQueryGroup - 1) / kQueryGroup * kQueryGroup;
  auto queries = at::zeros({1, kv_heads, filled, size}, q.options());
  queries.narrow(2, 0, rows).view({kv_heads, count, groups, size}).copy_(q.unflatten(0, {kv_heads, groups}).transpose(1, 2));
  auto mask = at::zeros({1, 1, filled, k.size(2)}, bias.options());
  mask.narrow(2, 0, rows).view({count, groups, k.size(2)}).copy_(bias.unsqueeze(1).expand({-1, groups, -1}));
  const auto out = at::scaled_dot_product_attention(queries, k, v, mask);
  return out[0].narrow(1, 0, rows).unflatten(1, {count, groups}).transpose(0, 1).flatten(1, 2);
}

}  // namespace

void complete_invariant_masks(std::vector<Segment>& segments, int64_t head_dim, const at::TensorOptions& options) {
  const bool has_kernels = has_cpu_attention(options, head_dim);
  for (auto& segment : segments) {
    if (has_kernels && !segment.mask.defined()) continue;
    const int64_t slots = segment.slots.size(0);
    at::Tensor sees;  // [count, slots]
    if (segment.mask.defined()) {
      sees = at::constant_pad_nd(segment.mask, {0, slots - segment.kv_length}, false);
    } else {
      const auto places = at::arange(slots, at::TensorOptions(at::kLong).device(options.device()));
      sees = places.unsqueeze(0) <= places.narrow(0, segment.kv_length - segment.count, segment.count).unsqueeze(1);
    }
    segment.mask = at::zeros(sees.sizes(), options).masked_fill_(sees.logical_not(), -std::numeric_limits<float>::infinity());
  }
}

at::Tensor invariant_attention(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& values,
                               const std::vector<Segment>& segments) {
  const int64_t most = std::max<int64_t>(1, kMostQueries * keys.size(0) / q.size(0));
  // One dtype whatever the number of queries: attention() asks for it from kWidenedRows on.
  const auto dtype = has_slow_products(q) ? at::kFloat : q.scalar_type();
  auto out = at::zeros({q.size(1), q.size(0), q.size(2)}, q.options());
  for (const auto& segment : segments) {
    if (!segment.mask.defined()) {
      const auto slots = segment.slots.narrow(0, 0, segment.kv_length);
      const auto seen_of = [&](const at::Tensor& pool) { return pool.index_select(1, slots).unsqueeze(0); };
      out.narrow(0, segment.begin, segment.count)
          .flatten(1)
          .copy_(cpu_attention(q.narrow(1, segment.begin, segment.count).unsqueeze(0), seen_of(keys), seen_of(values), /*is_causal=*/true)[0]);
      continue;
    }
    const auto rows_of = [&](const at::Tensor& pool) {
      return pool.index_select(1, segment.slots).to(dtype).unsqueeze(0);
    };
    const auto k = rows_of(keys), v = rows_of(values), bias = segment.mask.to(dtype);
    for (int64_t begin = 0; begin < segment.count; begin += most) {
      const int64_t count = std::min(most, segment.count - begin);
      const int64_t first = segment.begin + begin;
      out.narrow(0, first, count)
          .copy_(attend(q.narrow(1, first, count).to(dtype), k, v, bias.narrow(0, begin, count)));
    }
  }
  return out.flatten(1);
}

}  // namespace facellm

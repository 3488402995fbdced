// paged_decode_attention_cuda.cu against sums in double over the slots that a row's table names.
#pragma once

#include <cmath>
#include <numeric>
#include <vector>

#include "comparison.h"
#include "kernels/paged_decode_attention/paged_decode_attention_cuda.h"

namespace facellm {

struct DecodeSizes {
  int64_t heads, kv_heads, head_dim, block_size, splits;
  int64_t slack = 3;  // elements between one slot's key and the next; a multiple of 8 keeps them aligned to 16 bytes
};

// A launcher of paged_decode_attention_cuda's kind without its last arguments.
template <typename T, typename Launcher>
auto of_dtype(Launcher launcher) {
  return [launcher](const void* q, const void* keys, const void* values, const int32_t* table, const int64_t* lengths, float* sums,
                    float* maxima, float* totals, void* out, const PagedDecodeShape& s) {
    // A copy of a kernel has a type of its own for the shape.
    launcher(q, keys, values, table, lengths, sums, maxima, totals, out,
             {s.rows, s.heads, s.kv_heads, s.head_dim, s.slots, s.block_size, s.most_blocks, s.splits, s.key_head, s.key_slot,
              s.value_head, s.value_slot},
             is_bf16<T>, nullptr);
  };
}
template <typename Launcher>
auto of_groups(Launcher launcher) {
  return [launcher](const void* q, const void* keys, const void* values, const int32_t* table, const int64_t* lengths, float* sums,
                    float* maxima, float* totals, void* out, const PagedDecodeShape& s) {
    launcher(q, keys, values, table, lengths, sums, maxima, totals, out,
             {s.rows, s.heads, s.kv_heads, s.head_dim, s.slots, s.block_size, s.most_blocks, s.splits, s.key_head, s.key_slot,
              s.value_head, s.value_slot},
             nullptr);
  };
}

// `launcher`: paged_decode_attention_cuda, or another that claims to do the same. Differences beyond what the sums' roundings
// allow are told as differences.
template <typename T, typename Launcher>
Comparison check_paged_decode(Launcher launcher, const DecodeSizes& n, const std::vector<int64_t>& lengths) {
  const auto rows = static_cast<int64_t>(lengths.size()), group = n.heads / n.kv_heads;
  const int64_t longest = *std::max_element(lengths.begin(), lengths.end());
  const int64_t most_blocks = (longest + n.block_size - 1) / n.block_size + 1;
  const int64_t slots = rows * most_blocks * n.block_size;
  std::mt19937 generator(3);
  std::normal_distribution<float> normal;
  const auto fill = [&](cuda_on_cpu::Buffer<T>& x) {
    for (auto& value : x) value = narrow<T>(normal(generator));
  };
  const auto size = [](int64_t count) { return static_cast<size_t>(count); };
  cuda_on_cpu::Buffer<T> q(size(n.heads * rows * n.head_dim), "q"), out(q.size(), "out");
  // Slots of keys have slack behind them; values lie heads within slots.
  const int64_t key_slot = n.head_dim + n.slack, key_head = slots * key_slot;
  const int64_t value_head = n.head_dim, value_slot = n.kv_heads * n.head_dim;
  cuda_on_cpu::Buffer<T> keys(size(n.kv_heads * key_head), "keys"), values(size(slots * value_slot), "values");
  fill(q);
  fill(keys);
  fill(values);
  // Blocks lie anywhere.
  std::vector<int32_t> blocks(size(rows * most_blocks));
  std::iota(blocks.begin(), blocks.end(), 0);
  std::shuffle(blocks.begin(), blocks.end(), generator);
  cuda_on_cpu::Buffer<int32_t> table(blocks.size(), "block_table");
  std::copy(blocks.begin(), blocks.end(), table.begin());
  cuda_on_cpu::Buffer<int64_t> own_lengths(lengths.size(), "lengths");
  std::copy(lengths.begin(), lengths.end(), own_lengths.begin());
  cuda_on_cpu::Buffer<float> sums(size(rows * n.heads * n.splits * n.head_dim), "sums");
  cuda_on_cpu::Buffer<float> maxima(size(rows * n.heads * n.splits), "maxima"), totals(maxima.size(), "totals");
  launcher(q.data(), keys.data(), values.data(), table.data(), own_lengths.data(), sums.data(), maxima.data(),
           totals.data(), out.data(),
           {rows, n.heads, n.kv_heads, n.head_dim, slots, n.block_size, most_blocks, n.splits, key_head, key_slot, value_head,
            value_slot});
  Comparison comparison;
  const double scale = 1 / std::sqrt(static_cast<double>(n.head_dim)), unit = 0x1p-24;
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t h = 0; h < n.heads; ++h) {
      std::vector<double> scores;
      double most = -INFINITY, rounding = 0;
      const auto slot_of = [&](int64_t t) { return blocks[size(r * most_blocks + t / n.block_size)] * n.block_size + t % n.block_size; };
      for (int64_t t = 0; t < lengths[size(r)]; ++t) {
        double score = 0, magnitude = 0;
        for (int64_t e = 0; e < n.head_dim; ++e) {
          const double product = static_cast<double>(wide(q[size((h * rows + r) * n.head_dim + e)])) *
                                 wide(keys[size(h / group * key_head + slot_of(t) * key_slot + e)]) * scale;
          score += product;
          magnitude += std::abs(product);
        }
        scores.push_back(score);
        most = std::max(most, score);
        rounding = std::max(rounding, (static_cast<double>(n.head_dim) + 4) * magnitude * unit);
      }
      double total = 0;
      for (const double score : scores) total += std::exp(score - most);
      for (int64_t e = 0; e < n.head_dim; ++e) {
        double truth = 0, magnitude = 0;
        for (size_t t = 0; t < scores.size(); ++t) {
          const double part = std::exp(scores[t] - most) / total *
                              wide(values[size(h / group * value_head + slot_of(static_cast<int64_t>(t)) * value_slot + e)]);
          truth += part;
          magnitude += std::abs(part);
        }
        // A score's error and that of its exponential (two places) change a weight, above and below the line; then the sums.
        const double terms = static_cast<double>(scores.size()) + 8;
        const double allowed = magnitude * (2 * (rounding + 4 * unit) + 2 * terms * unit) +
                               (is_bf16<T> ? std::abs(truth) * 0x1p-8 : std::abs(truth) * unit) + 1e-30;
        const float actual = wide(out[size((r * n.heads + h) * n.head_dim + e)]), expected = static_cast<float>(truth);
        const bool is_close = std::abs(actual - truth) <= allowed;
        comparison.add(is_close ? expected : actual, expected, "head size", n.head_dim, "row", r, "head", h, "element", e);
      }
    }
  }
  return comparison;
}

template <typename Launcher>
Comparison check_paged_decode_shapes(Launcher launcher) {
  Comparison all;
  all.add(check_paged_decode<__nv_bfloat16>(of_dtype<__nv_bfloat16>(launcher), {14, 2, 64, 64, 4}, {1, 65, 0, 300}));   // the 1B; a place without a row
  all.add(check_paged_decode<__nv_bfloat16>(of_dtype<__nv_bfloat16>(launcher), {7, 1, 128, 64, 3}, {129, 2}));          // a group of the 8B
  all.add(check_paged_decode<float>(of_dtype<float>(launcher), {4, 2, 16, 8, 2}, {31, 32, 33}));
  all.add(check_paged_decode<float>(of_dtype<float>(launcher), {3, 3, 18, 5, 1}, {7, 140}));                    // a head a group, an odd size
  all.add(check_paged_decode<float>(of_dtype<float>(launcher), {16, 1, 128, 16, 5}, {3}));                      // more splits than slots
  all.add(check_paged_decode<float>(of_dtype<float>(launcher), {1, 1, 1, 1, 2}, {5, 6}));
  return all;
}

// `launcher`: paged_decode_groups_cuda, or another. Aligned; in tiles of 128 slots and parts of them.
template <typename Launcher>
Comparison check_paged_decode_groups(Launcher launcher) {
  Comparison all;
  all.add(check_paged_decode<__nv_bfloat16>(of_groups(launcher), {14, 2, 64, 64, 2, 8}, {1, 15, 0, 300}));
  all.add(check_paged_decode<__nv_bfloat16>(of_groups(launcher), {7, 1, 128, 64, 1, 0}, {200, 33}));
  all.add(check_paged_decode<__nv_bfloat16>(of_groups(launcher), {8, 1, 64, 16, 3, 8}, {17}));
  all.add(check_paged_decode<__nv_bfloat16>(of_groups(launcher), {2, 2, 128, 5, 5, 16}, {4, 161}));
  return all;
}

}  // namespace facellm

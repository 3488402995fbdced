// rope_kv_append_cuda.cu's numbers by a scalar reference: each product and each sum rounded once, and nothing else written.
#pragma once

#include <vector>

#include "comparison.h"

namespace facellm {

struct RopeSizes {
  int64_t batch, length, heads, kv_heads, head_dim, capacity;
};

// `launcher`: rope_kv_append_cuda, or another that claims to do the same. starts: of each row of the batch. slack: elements behind each slot, each head and each row of the caches.
template <typename T, typename Launcher>
Comparison check_rope_kv_append(Launcher launcher, const RopeSizes& n, const std::vector<int64_t>& starts, int64_t slack) {
  const int64_t all = n.heads + 2 * n.kv_heads, half = n.head_dim / 2;
  auto qkv = noise<T>(n.batch * n.length * all * n.head_dim, "qkv");
  auto cos = noise<T>(n.batch * n.length * n.head_dim, "cos"), sin = noise<T>(cos.size(), "sin");
  cuda_on_cpu::Buffer<int64_t> first(starts.size(), "starts");
  std::copy(starts.begin(), starts.end(), first.begin());
  const int64_t slot = n.head_dim + slack, head = n.capacity * slot + slack, row = n.kv_heads * head + slack;
  // The values' rows are laid out otherwise: heads within slots.
  const int64_t keys_strides[] = {row, head, slot}, values_strides[] = {row, slot, n.kv_heads * slot};
  cuda_on_cpu::Buffer<T> q(n.batch * n.heads * n.length * n.head_dim, "q");
  cuda_on_cpu::Buffer<T> keys(n.batch * row, "keys"), values(n.batch * row, "values");
  launcher(qkv.data(), cos.data(), sin.data(), first.data(), q.data(), keys.data(), values.data(),
           {n.batch, n.length, n.heads, n.kv_heads, n.head_dim, n.capacity, {row, head, slot}, {row, slot, n.kv_heads * slot}},
           is_bf16<T>, nullptr);
  // What nobody writes stays as it was.
  const T untouched = __builtin_bit_cast(T, static_cast<std::conditional_t<is_bf16<T>, uint16_t, uint32_t>>(-1));
  std::vector<T> wanted_q(q.size(), untouched), wanted_keys(keys.size(), untouched), wanted_values = wanted_keys;
  for (int64_t b = 0; b < n.batch; ++b) {
    for (int64_t t = 0; t < n.length; ++t) {
      const int64_t token = b * n.length + t, at = starts[b] + t;
      for (int64_t h = 0; h < all; ++h) {
        for (int64_t i = 0; i < n.head_dim; ++i) {
          const int64_t begin = (token * all + h) * n.head_dim;
          const float x = wide(qkv[begin + i]);
          const float other = i < half ? -wide(qkv[begin + half + i]) : wide(qkv[begin + i - half]);
          const float turned = rounded<T>(x * wide(cos[token * n.head_dim + i])) +
                               rounded<T>(other * wide(sin[token * n.head_dim + i]));
          if (h < n.heads) {
            wanted_q[((b * n.heads + h) * n.length + t) * n.head_dim + i] = narrow<T>(turned);
            continue;
          }
          if (at < 0 || at >= n.capacity) continue;
          const bool is_value = h >= n.heads + n.kv_heads;
          const int64_t kv_head = h - n.heads - (is_value ? n.kv_heads : 0);
          const int64_t* const strides = is_value ? values_strides : keys_strides;
          (is_value ? wanted_values : wanted_keys)[b * strides[0] + kv_head * strides[1] + at * strides[2] + i] =
              is_value ? qkv[begin + i] : narrow<T>(turned);
        }
      }
    }
  }
  Comparison comparison;
  const auto compare = [&](cuda_on_cpu::Buffer<T>& actual, const std::vector<T>& wanted, const char* name) {
    for (size_t i = 0; i < wanted.size(); ++i) comparison.add(actual[i], wanted[i], "head size", n.head_dim, name, i);
  };
  compare(q, wanted_q, "q");
  compare(keys, wanted_keys, "keys");
  compare(values, wanted_values, "values");
  return comparison;
}

template <typename T, typename Launcher>
Comparison check_rope_kv_append_shapes_of(Launcher launcher) {
  Comparison all;
  all.add(check_rope_kv_append<T>(launcher, {2, 1, 14, 2, 64, 32}, {31, 0}, 0));  // the 1B, one token
  all.add(check_rope_kv_append<T>(launcher, {1, 5, 4, 4, 128, 16}, {3}, 3));      // as many keys as queries
  all.add(check_rope_kv_append<T>(launcher, {2, 3, 6, 3, 18, 8}, {5, 2}, 1));     // a half of nine
  all.add(check_rope_kv_append<T>(launcher, {3, 2, 1, 1, 2, 2}, {0, 0, 0}, 0));   // one pair
  all.add(check_rope_kv_append<T>(launcher, {1, 3, 1, 1, 256, 3}, {0}, 5));       // more pairs than threads
  // The host has checked lengths; a slot outside of the cache is not written all the same.
  all.add(check_rope_kv_append<T>(launcher, {2, 3, 2, 1, 8, 4}, {2, -1}, 0));
  all.add(check_rope_kv_append<T>(launcher, {2, 3, 2, 1, 8, 4}, {1000000, 4}, 0));
  return all;
}

template <typename Launcher>
Comparison check_rope_kv_append_shapes(Launcher launcher) {
  Comparison all = check_rope_kv_append_shapes_of<float>(launcher);
  all.add(check_rope_kv_append_shapes_of<__nv_bfloat16>(launcher));
  return all;
}

}  // namespace facellm

// rope_kv_append_cuda.cu's numbers by a scalar reference: each product and each sum rounded once, and nothing else written.
#pragma once

#include <vector>

#include "comparison.h"

namespace facellm {

struct RopeSizes {
  int64_t heads, kv_heads, head_dim, slots;
};

// `launcher`: rope_kv_append_cuda, or another that claims to do the same. slots: of each token. slack: elements behind each slot
// and each head of the pool.
template <typename T, typename Launcher>
Comparison check_rope_kv_append(Launcher launcher, const RopeSizes& n, const std::vector<int64_t>& slots, int64_t slack) {
  const int64_t all = n.heads + 2 * n.kv_heads, half = n.head_dim / 2, tokens = static_cast<int64_t>(slots.size());
  auto qkv = noise<T>(tokens * all * n.head_dim, "qkv");
  auto cos = noise<T>(tokens * n.head_dim, "cos"), sin = noise<T>(cos.size(), "sin");
  cuda_on_cpu::Buffer<int64_t> own_slots(slots.size(), "slots");
  std::copy(slots.begin(), slots.end(), own_slots.begin());
  const int64_t slot = n.head_dim + slack, head = n.slots * slot + slack;
  // The values are laid out otherwise: heads within slots.
  const int64_t keys_strides[] = {head, slot}, values_strides[] = {slot, n.kv_heads * slot};
  cuda_on_cpu::Buffer<T> q(n.heads * tokens * n.head_dim, "q");
  cuda_on_cpu::Buffer<T> keys(n.kv_heads * head, "keys"), values(n.kv_heads * head, "values");
  launcher(qkv.data(), cos.data(), sin.data(), own_slots.data(), q.data(), keys.data(), values.data(),
           {tokens, n.heads, n.kv_heads, n.head_dim, n.slots, {head, slot}, {slot, n.kv_heads * slot}}, is_bf16<T>, nullptr);
  // What nobody writes stays as it was.
  const T untouched = __builtin_bit_cast(T, static_cast<std::conditional_t<is_bf16<T>, uint16_t, uint32_t>>(-1));
  std::vector<T> wanted_q(q.size(), untouched), wanted_keys(keys.size(), untouched), wanted_values = wanted_keys;
  for (int64_t t = 0; t < tokens; ++t) {
    const int64_t at = slots[t];
    for (int64_t h = 0; h < all; ++h) {
      for (int64_t i = 0; i < n.head_dim; ++i) {
        const int64_t begin = (t * all + h) * n.head_dim;
        const float x = wide(qkv[begin + i]);
        const float other = i < half ? -wide(qkv[begin + half + i]) : wide(qkv[begin + i - half]);
        const float turned = rounded<T>(x * wide(cos[t * n.head_dim + i])) + rounded<T>(other * wide(sin[t * n.head_dim + i]));
        if (h < n.heads) {
          wanted_q[(h * tokens + t) * n.head_dim + i] = narrow<T>(turned);
          continue;
        }
        if (at < 0 || at >= n.slots) continue;
        const bool is_value = h >= n.heads + n.kv_heads;
        const int64_t kv_head = h - n.heads - (is_value ? n.kv_heads : 0);
        const int64_t* const strides = is_value ? values_strides : keys_strides;
        (is_value ? wanted_values : wanted_keys)[kv_head * strides[0] + at * strides[1] + i] =
            is_value ? qkv[begin + i] : narrow<T>(turned);
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
  all.add(check_rope_kv_append<T>(launcher, {14, 2, 64, 32}, {31, 0}, 0));            // the 1B, a token of two rows each
  all.add(check_rope_kv_append<T>(launcher, {4, 4, 128, 16}, {3, 4, 5, 6, 7}, 3));    // as many keys as queries
  all.add(check_rope_kv_append<T>(launcher, {6, 3, 18, 8}, {5, 6, 7, 2, 3, 4}, 1));   // a half of nine
  all.add(check_rope_kv_append<T>(launcher, {1, 1, 2, 6}, {5, 1, 3, 0, 4, 2}, 0));    // one pair
  all.add(check_rope_kv_append<T>(launcher, {1, 1, 256, 3}, {0, 1, 2}, 5));           // more pairs than threads
  all.add(check_rope_kv_append<T>(launcher, {3, 1, 32, 9}, {8, 0, -1, 4, 9}, 8));     // eight pairs at a time, and slack
  // The host has planned slots; one outside of the pool is not written all the same.
  all.add(check_rope_kv_append<T>(launcher, {2, 1, 8, 4}, {2, 3, 4, -1, 0, 1}, 0));
  all.add(check_rope_kv_append<T>(launcher, {2, 1, 8, 4}, {1000000, 1000001, 4, 5}, 0));
  return all;
}

template <typename Launcher>
Comparison check_rope_kv_append_shapes(Launcher launcher) {
  Comparison all = check_rope_kv_append_shapes_of<float>(launcher);
  all.add(check_rope_kv_append_shapes_of<__nv_bfloat16>(launcher));
  return all;
}

}  // namespace facellm

// The kernels of row_kernels.h, included by each unit into a namespace without a name.

#include "kernels/cpu/row_lanes.h"

// Sums that registers hold beside what is multiplied.
constexpr int kSums = kPieces == 1 ? 16 : 4;
// Query heads that share what is loaded of a key head.
constexpr int kMostTogether = 8;

template <typename T>
void norm_rows(const NormRows* rows, int64_t begin, int64_t end) {
  const int64_t size = rows->size;
  const auto* const weight = static_cast<const T*>(rows->weight);
  for (int64_t i = begin; i < end; ++i) {
    const auto* const residual = static_cast<const T*>(rows->residual) + i * rows->stride;
    auto* const sum = static_cast<T*>(rows->sum) + i * size;
    auto* const normalised = static_cast<T*>(rows->normalised) + i * size;
    Lanes squares{};
    for (int64_t k = 0; k < size; k += kLanes) {
      Lanes x = load(residual + k, size - k);
      if (rows->delta != nullptr) {
        x = store_rounded(sum + k, x + load(static_cast<const T*>(rows->delta) + i * size + k, size - k), size - k);
      }
      squares = squares + x * x;
    }
    const T* const from = rows->delta != nullptr ? sum : residual;
    const float scale = 1 / __builtin_sqrtf(total(squares) / static_cast<float>(size) + rows->eps);
    for (int64_t k = 0; k < size; k += kLanes) {
      store(normalised + k, rounded<T>(load(from + k, size - k) * scale) * load(weight + k, size - k), size - k);
    }
  }
}

void add_rms_norm(const NormRows* rows, int64_t begin, int64_t end) {
  return rows->is_bf16 ? norm_rows<Bf16>(rows, begin, end) : norm_rows<float>(rows, begin, end);
}

template <typename T>
void scale_norm_rows(const ScaleNormRows* rows, int64_t begin, int64_t end) {
  const int64_t size = rows->size;
  const auto* const scale = static_cast<const T*>(rows->scale);
  const auto* const weight = static_cast<const T*>(rows->weight);
  const auto* const bias = static_cast<const T*>(rows->bias);
  for (int64_t i = begin; i < end; ++i) {
    const auto* const x = static_cast<const T*>(rows->x) + i * size;
    auto* const sum = static_cast<T*>(rows->sum) + i * size;
    auto* const normalised = static_cast<T*>(rows->normalised) + i * size;
    Lanes all{}, squares{};
    for (int64_t k = 0; k < size; k += kLanes) {
      Lanes value = load(x + k, size - k);
      if (rows->delta != nullptr) {
        const Lanes delta = load(static_cast<const T*>(rows->delta) + i * size + k, size - k);
        value = store_rounded(sum + k, value + rounded<T>(delta * load(scale + k, size - k)), size - k);
      }
      all = all + value;
    }
    const T* const from = rows->delta != nullptr ? sum : x;
    const float mean = total(all) / static_cast<float>(size);
    for (int64_t k = 0; k < size; k += kLanes) {
      const Lanes centred = load(from + k, size - k) - mean;
      squares = squares + (size - k >= kLanes ? centred : first(centred, size - k)) * centred;
    }
    const float factor = 1 / __builtin_sqrtf(total(squares) / static_cast<float>(size) + rows->eps);
    for (int64_t k = 0; k < size; k += kLanes) {
      const int64_t left = size - k;
      store(normalised + k, (load(from + k, left) - mean) * factor * load(weight + k, left) + load(bias + k, left), left);
    }
  }
}

void scale_add_norm(const ScaleNormRows* rows, int64_t begin, int64_t end) {
  return rows->is_bf16 ? scale_norm_rows<Bf16>(rows, begin, end) : scale_norm_rows<float>(rows, begin, end);
}

template <typename T>
void gate_rows(const GateRows* rows, int64_t begin, int64_t end) {
  const int64_t size = rows->size;
  for (int64_t i = begin; i < end; ++i) {
    const auto* const gate = static_cast<const T*>(rows->gate_up) + i * rows->stride;
    auto* const out = static_cast<T*>(rows->out) + i * size;
    for (int64_t k = 0; k < size; k += kLanes) {
      const Lanes g = load(gate + k, size - k);
      // By e^-|g|, which is never too large.
      const Lanes small = exponential(where_negative(g, g, -g));
      const Lanes silu = where_negative(g, g * small, g) / (small + 1);
      store(out + k, rounded<T>(silu) * load(gate + size + k, size - k), size - k);
    }
  }
}

void swiglu(const GateRows* rows, int64_t begin, int64_t end) {
  return rows->is_bf16 ? gate_rows<Bf16>(rows, begin, end) : gate_rows<float>(rows, begin, end);
}

template <typename T>
void rotate(T* to, const T* head, const T* cos, const T* sin, int64_t half) {
  for (int64_t i = 0; i < half; i += kLanes) {
    const int64_t left = half - i;
    const Lanes first = load(head + i, left), second = load(head + half + i, left);
    store(to + i, rounded<T>(first * load(cos + i, left)) + rounded<T>(-second * load(sin + i, left)), left);
    store(to + half + i,
          rounded<T>(second * load(cos + half + i, left)) + rounded<T>(first * load(sin + half + i, left)), left);
  }
}

template <typename T>
void rope_rows(const RopeRows* rows, int64_t begin, int64_t end) {
  const int64_t dim = rows->head_dim, heads = rows->heads, kv_heads = rows->kv_heads, group = heads / kv_heads;
  for (int64_t i = begin; i < end; ++i) {
    const int64_t t = i / kv_heads, h = i % kv_heads, slot = rows->slots[t];
    const auto* const token = static_cast<const T*>(rows->qkv) + t * (heads + 2 * kv_heads) * dim;
    const auto* const cos = static_cast<const T*>(rows->cos) + t * dim;
    const auto* const sin = static_cast<const T*>(rows->sin) + t * dim;
    for (int64_t g = h * group; g < (h + 1) * group; ++g) {
      rotate(static_cast<T*>(rows->q) + (g * rows->tokens + t) * dim, token + g * dim, cos, sin, dim / 2);
    }
    rotate(static_cast<T*>(rows->keys) + h * rows->key_head + slot * rows->key_slot, token + (heads + h) * dim, cos, sin, dim / 2);
    __builtin_memcpy(static_cast<T*>(rows->values) + h * rows->value_head + slot * rows->value_slot,
                     token + (heads + kv_heads + h) * dim, static_cast<size_t>(dim) * sizeof(T));
  }
}

void rope_append(const RopeRows* rows, int64_t begin, int64_t end) {
  return rows->is_bf16 ? rope_rows<Bf16>(rows, begin, end) : rope_rows<float>(rows, begin, end);
}

// Of attend(): slots, scores of each head of a group, its queries, sixteen keys; the last three in fp32.
int64_t attend_bytes(const DecodeAttention* rows, int64_t most_keys) {
  const int64_t group = rows->heads / rows->kv_heads;
  return whole(most_keys) * (8 + 4 * group) + whole(rows->head_dim) * 4 * (group + kLanes);
}

// Scores of the group's queries against all keys; each row of scores is filled up with -inf to whole lanes.
template <typename T>
void score(const T* keys, const int64_t* slots, int64_t stride, int64_t count, const float* queries, int64_t group, int64_t dim,
           float scale, float* some, float* scores) {
  const int64_t wide = whole(dim), all = whole(count);
  for (int64_t first = 0; first < count; first += kLanes) {
    for (int64_t i = 0; i < kLanes; ++i) {
      const T* const key = keys + slots[first + i < count ? first + i : first] * stride;
      for (int64_t k = 0; k < dim; k += kLanes) store(some + i * wide + k, load(key + k, dim - k));
    }
    for (int64_t g = 0; g < group; ++g) {
      Lanes sums[kLanes];
      for (int64_t i = 0; i < kLanes; i += kSums) {
        Lanes own[kSums] = {};
        for (int64_t k = 0; k < wide; k += kLanes) {
          const Lanes q = load(queries + g * wide + k);
#pragma GCC unroll 16
          for (int j = 0; j < kSums; ++j) own[j] = own[j] + q * load(some + (i + j) * wide + k);
        }
#pragma GCC unroll 16
        for (int j = 0; j < kSums; ++j) sums[i + j] = own[j];
      }
      store(scores + g * all + first, totals(sums) * scale);
    }
  }
  for (int64_t g = 0; g < group; ++g) {
    for (int64_t i = count; i < all; ++i) scores[g * all + i] = -__builtin_inff();
  }
}

// exp(score - the largest) in their place; returns their sum.
float weigh(float* scores, int64_t count) {
  Lanes largest = load(scores);
  for (int64_t i = kLanes; i < count; i += kLanes) largest = larger(load(scores + i), largest);
  float v[kLanes];
  store(v, largest);
  float most = v[0];
  for (int64_t i = 1; i < kLanes; ++i) most = v[i] > most ? v[i] : most;
  Lanes sum{};
  for (int64_t i = 0; i < count; i += kLanes) {
    const Lanes weight = exponential(load(scores + i) - most);
    store(scores + i, weight);
    sum = sum + weight;
  }
  return total(sum);
}

// Weighted sums of values for G queries, divided by their weights' sums.
template <typename T, int G>
__attribute__((noinline)) void add_values(const T* values, const int64_t* slots, int64_t stride, int64_t count, int64_t dim,
                                          const float* weights, int64_t weight_stride, const float* sums, T* out) {
  for (int64_t k = 0; k < dim; k += kLanes) {
    Lanes added[G] = {};
    const int64_t left = dim - k;
    // Asked once: within the loop it would keep the sums in memory.
    const auto add = [&](int64_t s, Lanes value) __attribute__((always_inline)) {
#pragma GCC unroll 8
      for (int g = 0; g < G; ++g) added[g] = added[g] + value * weights[g * weight_stride + s];
    };
    if (left >= kLanes) {
      for (int64_t s = 0; s < count; ++s) add(s, load(values + slots[s] * stride + k));
    } else {
      for (int64_t s = 0; s < count; ++s) add(s, load(values + slots[s] * stride + k, left));
    }
    for (int g = 0; g < G; ++g) store(out + g * dim + k, added[g] / sums[g], left);
  }
}

template <typename T>
using AddValues = void (*)(const T*, const int64_t*, int64_t, int64_t, int64_t, const float*, int64_t, const float*, T*);
template <typename T>
constexpr AddValues<T> kAddValues[kMostTogether + 1] = {
    nullptr,          add_values<T, 1>, add_values<T, 2>, add_values<T, 3>, add_values<T, 4>,
    add_values<T, 5>, add_values<T, 6>, add_values<T, 7>, add_values<T, 8>};

template <typename T>
void attend_rows(const DecodeAttention* rows, void* work, int64_t begin, int64_t end) {
  const int64_t group = rows->heads / rows->kv_heads, dim = rows->head_dim, wide = whole(dim);
  for (int64_t i = begin; i < end; ++i) {
    const int64_t row = i / rows->kv_heads, h = i % rows->kv_heads, count = rows->lengths[row];
    auto* const out = static_cast<T*>(rows->out) + (row * rows->heads + h * group) * dim;
    if (count == 0) {
      __builtin_memset(out, 0, static_cast<size_t>(group * dim) * sizeof(T));
      continue;
    }
    const int64_t all = whole(count);
    auto* const slots = static_cast<int64_t*>(work);
    auto* const scores = reinterpret_cast<float*>(slots + all);
    float* const queries = scores + group * all;
    float* const some = queries + group * wide;
    const int32_t* const blocks = rows->block_table + row * rows->most_blocks;
    for (int64_t t = 0; t < count; t += rows->block_size) {
      const int64_t first = blocks[t / rows->block_size] * rows->block_size;
      for (int64_t j = 0; j < rows->block_size && t + j < count; ++j) slots[t + j] = first + j;
    }
    for (int64_t g = 0; g < group; ++g) {
      const auto* const q = static_cast<const T*>(rows->q) + (h * group + g) * rows->q_head + row * rows->q_row;
      for (int64_t k = 0; k < dim; k += kLanes) store(queries + g * wide + k, load(q + k, dim - k));
    }
    score(static_cast<const T*>(rows->keys) + h * rows->key_head, slots, rows->key_slot, count, queries, group, dim, rows->scale,
          some, scores);
    for (int64_t g = 0; g < group; g += kMostTogether) {
      const int64_t together = group - g < kMostTogether ? group - g : kMostTogether;
      float sums[kMostTogether];
      for (int64_t j = 0; j < together; ++j) sums[j] = weigh(scores + (g + j) * all, all);
      kAddValues<T>[together](static_cast<const T*>(rows->values) + h * rows->value_head, slots, rows->value_slot, count, dim,
                              scores + g * all, all, sums, out + g * dim);
    }
  }
}

void attend(const DecodeAttention* rows, void* work, int64_t begin, int64_t end) {
  return rows->is_bf16 ? attend_rows<Bf16>(rows, work, begin, end) : attend_rows<float>(rows, work, begin, end);
}

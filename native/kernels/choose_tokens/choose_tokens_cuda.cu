// Two kernels. The first reads the logits once: a block a chunk of 256, its maximum and the sum of its exponentials, and the
// scores after mask and edits. The second has one block a row: greedy choice and draws from all look at the chunks' numbers
// and at one chunk; top-k, top-p and min-p find their borders digit by digit of the scores' bits, most significant first,
// past chunks that lie below. Weights are whole numbers of 2^-40 of the largest: their sums are the same in any order.
#include "kernels/choose_tokens/choose_tokens_cuda.h"
#include "kernels/common/block_reduce.cuh"
#include "kernels/common/cuda_common.cuh"
#include "kernels/common/philox.cuh"

namespace facellm {
namespace {

using cuda::Fixed;

constexpr int kThreads = 256, kWarps = kThreads / 32, kDigits = 256;
constexpr float kOne = 0x1p40f;

__device__ __forceinline__ float block_max(float x) {
  return cuda::block_reduce<kThreads>(x, -INFINITY, [](float a, float b) { return cuda::larger(a, b); });
}
__device__ __forceinline__ Fixed block_total(Fixed x) {
  return cuda::block_reduce<kThreads>(x, Fixed{0}, [](Fixed a, Fixed b) { return cuda::sum_of(a, b); });
}
__device__ __forceinline__ int block_first(int x) {
  return cuda::block_reduce<kThreads>(x, 0x7fffffff, [](int a, int b) { return cuda::smaller(a, b); });
}

// Of exp((x - max) / temperature). NaN where a score is NaN or infinity.
__device__ __forceinline__ ChunkScan scan(float x, float temperature) {
  const float max = block_max(x);
  const bool is_number = x < INFINITY;
  float weight = max == -INFINITY ? 0.f : expf((x - max) / temperature);
  if (!is_number) weight = NAN;
  return {max, cuda::block_reduce<kThreads>(weight, 0.f, [](float a, float b) { return cuda::sum_of(a, b); })};
}

__device__ __forceinline__ float edited(float score, const ChoiceRule& rule, const ScoreEdit* edits, int id) {
  // The list is in the order of its ids.
  int low = rule.edits_begin, high = rule.edits_end;
  while (low < high) {
    const int middle = low + (high - low) / 2;
    if (edits[middle].id < id) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  if (low == rule.edits_end || edits[low].id != id) return score;
  const int count = edits[low].count;
  if (count >= 0) score = score < 0 ? __fmul_rn(score, rule.repetition) : score / rule.repetition;
  // Each step rounded: a product must not be fused into a sum.
  if (count > 0) score = __fadd_rn(__fadd_rn(score, -__fmul_rn(static_cast<float>(count), rule.frequency)), -rule.presence);
  return __fadd_rn(score, edits[low].bias);
}

template <typename T>
__global__ void choose_tokens_scan_kernel(const T* logits, const ChoiceRule* rules, const ScoreEdit* edits,
                                          const uint32_t* masks, float* scores, ChunkScan* raw, ChunkScan* after,
                                          int64_t vocabulary) {
  cuda::let_next_start();
  cuda::wait_for_previous();
  const int64_t chunk = blockIdx.x, row = blockIdx.y;
  const int64_t id = chunk * kChoiceChunk + threadIdx.x;
  const bool is_id = id < vocabulary;
  const ChoiceRule rule = rules[row];
  float score = is_id ? cuda::load(logits + row * vocabulary + id) : -INFINITY;
  const ChunkScan own = scan(score, 1.f);
  const bool is_edited = rule.mask >= 0 || rule.edits_begin < rule.edits_end;
  if (is_edited && is_id) {
    const int64_t words = (vocabulary + 31) / 32;
    const bool is_allowed = rule.mask < 0 || (masks[rule.mask * words + id / 32] >> (id % 32) & 1u) != 0;
    score = is_allowed ? edited(score, rule, edits, static_cast<int>(id)) : -INFINITY;
  }
  if (is_id) scores[row * vocabulary + id] = score;
  const bool is_same = !is_edited && (rule.is_greedy || rule.temperature == 1.f);
  const ChunkScan then = is_same ? own : scan(score, rule.is_greedy ? 1.f : rule.temperature);
  if (threadIdx.x == 0) {
    const int64_t at = row * ((vocabulary + kChoiceChunk - 1) / kChoiceChunk) + chunk;
    raw[at] = own;
    after[at] = then;
  }
}

// The bits of a score in the order of scores.
__device__ __forceinline__ uint32_t key_of(float score) {
  const auto bits = static_cast<uint32_t>(__float_as_int(score + 0.f));  // -0 is 0
  return bits ^ (bits >> 31 ? 0xffffffffu : 0x80000000u);
}
__device__ __forceinline__ float score_of(uint32_t key) {
  return __int_as_float(static_cast<int>(key ^ (key >> 31 ? 0x80000000u : 0xffffffffu)));
}

// One row, as all threads of its block see it.
struct Row {
  const float* scores;
  const ChunkScan* chunks;
  int64_t vocabulary, chunk_count;
  float temperature, top;  // the largest score, after temperature

  __device__ __forceinline__ float after(float score) const { return score / temperature; }
  __device__ __forceinline__ float difference(float score) const { return after(score) - top; }
  __device__ __forceinline__ Fixed weight(float score) const {
    return static_cast<Fixed>(expf(difference(score)) * kOne);
  }

  // Calls back for every id of a score, after temperature, whose key is at least `least`. In no order.
  template <typename Callback>
  __device__ __forceinline__ void each(uint32_t least, const Callback& callback) const {
    const int64_t warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    for (int64_t c = warp; c < chunk_count; c += kWarps) {
      if (key_of(after(chunks[c].max)) < least) continue;
      const int64_t begin = c * kChoiceChunk;
      const int64_t end = begin + kChoiceChunk < vocabulary ? begin + kChoiceChunk : vocabulary;
      for (int64_t i = begin + lane; i < end; i += 32) {
        const float score = scores[i];
        if (score == -INFINITY) continue;
        const uint32_t key = key_of(after(score));
        if (key >= least) callback(key, score);
      }
    }
  }
};

// A place in the row's ids, the most probable first: equals of `key` hold what lies from `before` on.
struct Place {
  uint32_t key;
  Fixed before;
};

// The place at which the sum of `measure(key, score)` over larger scores first exceeds `target`, which must be less than the
// sum of all. Below `least` nothing counts.
template <typename Measure>
__device__ __forceinline__ Place find_place(const Row& row, uint32_t least, Fixed target, const Measure& measure) {
  __shared__ Fixed digits[kDigits];
  __shared__ uint32_t found_key;
  __shared__ Fixed found_before;
  uint32_t prefix = 0;
  Fixed before = 0;
  for (int shift = 24; shift >= 0; shift -= 8) {
    __syncthreads();  // what was found last has been read
    digits[threadIdx.x] = 0;
    if (threadIdx.x == 0) {
      found_key = prefix;
      found_before = before;
    }
    __syncthreads();
    row.each(least > prefix ? least : prefix, [&](uint32_t key, float score) {
      if (shift < 24 && (key ^ prefix) >> (shift + 8) != 0) return;
      atomicAdd(&digits[key >> shift & 255u], measure(key, score));
    });
    __syncthreads();
    // The largest digit first.
    const unsigned digit = kDigits - 1 - threadIdx.x;
    const Fixed own = digits[digit];
    Fixed total;
    const Fixed larger = before + cuda::block_before<kThreads>(own, total);
    if (own > 0 && larger <= target && target - larger < own) {
      found_key = prefix | digit << shift;
      found_before = larger;
    }
    __syncthreads();
    prefix = found_key;
    before = found_before;
  }
  return {prefix, before};
}

// The id of the `number`-th (from 0) of the equals of `key`, lowest id first.
__device__ __forceinline__ int id_of(const Row& row, uint32_t key, Fixed number) {
  const int64_t share = (row.chunk_count + kThreads - 1) / kThreads;
  const int64_t first = threadIdx.x * share, last = first + share < row.chunk_count ? first + share : row.chunk_count;
  const auto walk = [&](Fixed limit) {  // how many; or the id of the limit-th
    Fixed count = 0;
    for (int64_t c = first; c < last; ++c) {
      if (key_of(row.after(row.chunks[c].max)) < key) continue;
      const int64_t begin = c * kChoiceChunk;
      const int64_t end = begin + kChoiceChunk < row.vocabulary ? begin + kChoiceChunk : row.vocabulary;
      for (int64_t i = begin; i < end; ++i) {
        if (row.scores[i] == -INFINITY || key_of(row.after(row.scores[i])) != key) continue;
        if (count == limit) return static_cast<Fixed>(i);
        ++count;
      }
    }
    return count;
  };
  const Fixed own = walk(~Fixed{0});
  Fixed total;
  const Fixed before = cuda::block_before<kThreads>(own, total);
  if (number >= total) number = total - 1;
  const bool is_mine = before <= number && number - before < own;
  return block_first(is_mine ? static_cast<int>(walk(number - before)) : 0x7fffffff);
}

// A whole number below `total`, as far as `uniform` says.
__device__ __forceinline__ Fixed part_of(double uniform, Fixed total) {
  const auto part = static_cast<Fixed>(uniform * static_cast<double>(total));
  return part < total ? part : total - 1;
}

// `own`: this thread's weight among the block's, in the order of threads. The thread in which `target` lies, and how far
// into it; where rounding leaves some of it at the end, the last of any weight.
__device__ __forceinline__ int thread_at(Fixed own, Fixed target, Fixed& into) {
  __shared__ Fixed rest;
  Fixed total;
  const Fixed before = cuda::block_before<kThreads>(own, total);
  if (target >= total) target = total - 1;
  const bool is_mine = own > 0 && before <= target && target - before < own;
  const int thread = block_first(is_mine ? static_cast<int>(threadIdx.x) : 0x7fffffff);
  if (is_mine) rest = target - before;
  __syncthreads();
  into = rest;
  return thread;
}

// A draw from all ids, laid end to end in their order.
__device__ __forceinline__ int draw_from_all(const Row& row, double uniform) {
  __shared__ int chunk;
  __shared__ Fixed rest;
  const auto weight_of = [&](int64_t c) {
    return static_cast<Fixed>(row.chunks[c].sum * expf(row.difference(row.chunks[c].max)) * kOne);
  };
  const int64_t share = (row.chunk_count + kThreads - 1) / kThreads;
  const int64_t first = threadIdx.x * share, last = first + share < row.chunk_count ? first + share : row.chunk_count;
  Fixed own = 0;
  for (int64_t c = first; c < last; ++c) own += weight_of(c);
  Fixed into;
  const int thread = thread_at(own, part_of(uniform, block_total(own)), into);
  if (static_cast<int>(threadIdx.x) == thread) {
    for (int64_t c = first; c < last; ++c) {
      const Fixed weight = weight_of(c);
      if (weight == 0) continue;
      chunk = static_cast<int>(c);
      rest = into;
      if (into < weight) break;
      into -= weight;
    }
  }
  __syncthreads();
  const int64_t id = chunk * kChoiceChunk + threadIdx.x;
  const bool has_score = id < row.vocabulary && row.scores[id] != -INFINITY;
  const int drawn = thread_at(has_score ? row.weight(row.scores[id]) : 0, rest, into);
  return static_cast<int>(chunk * kChoiceChunk + drawn);
}

// What top-k, top-p and min-p leave, and a draw from it, the most probable first. `kept`: its weight.
__device__ __forceinline__ int draw_filtered(const Row& row, const ChoiceRule& rule, double uniform, Fixed& kept) {
  const auto by_weight = [&](uint32_t, float score) { return row.weight(score); };
  uint32_t least = key_of(-INFINITY);
  if (rule.top_k > 0 && rule.top_k < row.vocabulary) {
    Fixed count = 0;
    row.each(least, [&](uint32_t, float) { ++count; });
    if (static_cast<Fixed>(rule.top_k) < block_total(count)) {
      // Scores equal to the k-th largest stay, as in the reference.
      least = find_place(row, least, static_cast<Fixed>(rule.top_k) - 1, [](uint32_t, float) { return Fixed{1}; }).key;
    }
  }
  Fixed equals = ~Fixed{0};  // of the least key: so many stay
  if (rule.top_p < 1) {
    Fixed own = 0;
    row.each(least, [&](uint32_t, float score) { own += row.weight(score); });
    const double wanted = ceil(rule.top_p * static_cast<double>(block_total(own)));
    const Fixed target = wanted < 1 ? 0 : static_cast<Fixed>(wanted) - 1;
    const Place place = find_place(row, least, target, by_weight);
    least = place.key;
    equals = (target - place.before) / static_cast<Fixed>(expf(score_of(least) - row.top) * kOne) + 1;
  }
  // Log of a weight relative to the largest; no less than the smallest weight that is a number here.
  const auto stays = [&](uint32_t key) { return static_cast<double>(score_of(key) - row.top) >= rule.log_min_p; };
  Fixed own = 0;
  int same = 0;
  row.each(least, [&](uint32_t key, float score) {
    if (!stays(key)) return;
    if (key == least) {
      ++same;
    } else {
      own += row.weight(score);
    }
  });
  const Fixed at_border = block_total(static_cast<Fixed>(same));
  const Fixed border = at_border == 0 ? 0 : static_cast<Fixed>(expf(score_of(least) - row.top) * kOne);
  kept = block_total(own) + border * (equals < at_border ? equals : at_border);
  const Fixed target = part_of(uniform, kept);
  const Place place = find_place(row, least, target, [&](uint32_t key, float score) {
    return stays(key) ? row.weight(score) : Fixed{0};
  });
  const auto each = static_cast<Fixed>(expf(score_of(place.key) - row.top) * kOne);
  return id_of(row, place.key, (target - place.before) / each);
}

template <typename T>
__global__ void choose_tokens_kernel(const T* logits, const ChoiceRule* rules, const int64_t* numbers, const float* scores,
                                     const ChunkScan* raw, const ChunkScan* after, int64_t* ids, float* log_probs,
                                     int32_t* statuses, int64_t vocabulary) {
  cuda::let_next_start();
  cuda::wait_for_previous();
  const int64_t row_number = blockIdx.x;
  const ChoiceRule rule = rules[row_number];
  const int64_t chunks = (vocabulary + kChoiceChunk - 1) / kChoiceChunk;
  const ChunkScan *const own_raw = raw + row_number * chunks, *const own_after = after + row_number * chunks;
  float raw_top = -INFINITY, top = -INFINITY, bad = 0.f;
  for (int64_t c = threadIdx.x; c < chunks; c += kThreads) {
    raw_top = fmaxf(raw_top, own_raw[c].max);
    top = fmaxf(top, own_after[c].max);
    if (own_raw[c].sum != own_raw[c].sum) bad = 1.f;
  }
  raw_top = block_max(raw_top);
  top = block_max(top);
  bad = block_max(bad);
  const float temperature = rule.is_greedy ? 1.f : rule.temperature;
  const bool is_number = bad == 0.f && fabsf(raw_top / temperature) < INFINITY;
  if (!is_number || top == -INFINITY) {  // all threads of the block
    if (threadIdx.x != 0) return;
    statuses[row_number] = static_cast<int32_t>(is_number ? ChoiceStatus::kNothingLeft : ChoiceStatus::kNonFinite);
    log_probs[row_number] = NAN;
    ids[row_number] = 0;  // what the next step would read
    return;
  }
  const auto sum_from = [&](const ChunkScan* from, float most, float divisor) {
    Fixed sum = 0;
    for (int64_t c = threadIdx.x; c < chunks; c += kThreads) {
      if (from[c].max == -INFINITY) continue;
      sum += static_cast<Fixed>(from[c].sum * expf((from[c].max - most) / divisor) * kOne);
    }
    return block_total(sum);
  };
  const Row row{scores + row_number * vocabulary, own_after, vocabulary, chunks, temperature, top / temperature};
  Fixed total = 0;
  int id;
  if (rule.is_greedy) {
    int chunk = 0x7fffffff;
    for (int64_t c = threadIdx.x; c < chunks; c += kThreads) {
      if (own_after[c].max == top) chunk = cuda::smaller(chunk, static_cast<int>(c));
    }
    chunk = block_first(chunk);
    const int64_t i = chunk * kChoiceChunk + threadIdx.x;
    id = block_first(i < vocabulary && row.scores[i] == top ? static_cast<int>(i) : 0x7fffffff);
  } else {
    const double uniform = cuda::uniform_draw(rule.seed, rule.choice, static_cast<uint64_t>(numbers[row_number]));
    const bool is_filtered = (rule.top_k > 0 && rule.top_k < vocabulary) || rule.top_p < 1 || rule.log_min_p > -INFINITY;
    id = is_filtered ? draw_filtered(row, rule, uniform, total) : draw_from_all(row, uniform);
  }
  if (total == 0) total = sum_from(own_after, top, temperature);
  const Fixed raw_total = sum_from(own_raw, raw_top, 1.f);
  if (threadIdx.x != 0) return;
  const double log_one = 27.725887222397812;  // of kOne
  ids[row_number] = id;
  log_probs[row_number] = static_cast<float>(
      rule.is_processed
          ? static_cast<double>(row.difference(row.scores[id])) - (log(static_cast<double>(total)) - log_one)
          : static_cast<double>(cuda::load(logits + row_number * vocabulary + id)) - raw_top -
                (log(static_cast<double>(raw_total)) - log_one));
  statuses[row_number] = static_cast<int32_t>(ChoiceStatus::kChosen);
}

template <typename T>
void launch(const ChooseTokens& work, cudaStream_t stream) {
  static_assert(kThreads == kChoiceChunk && kThreads == kDigits);
  const auto* const logits = static_cast<const T*>(work.logits);
  const auto chunks = static_cast<unsigned>((work.vocabulary + kChoiceChunk - 1) / kChoiceChunk);
  const auto rows = static_cast<unsigned>(work.rows);
  cuda::launch_early(choose_tokens_scan_kernel<T>, dim3(chunks, rows), kThreads, 0, stream, logits, work.rules, work.edits,
               work.masks, work.scores, work.raw, work.edited, work.vocabulary);
  cuda::launch_early(choose_tokens_kernel<T>, rows, kThreads, 0, stream, logits, work.rules, work.numbers, work.scores, work.raw,
               work.edited, work.ids, work.log_probs, work.statuses, work.vocabulary);
}

}  // namespace

void choose_tokens_cuda(const ChooseTokens& work, bool is_bf16, cudaStream_t stream) {
  const auto run = is_bf16 ? launch<__nv_bfloat16> : launch<float>;
  run(work, stream);
}

}  // namespace facellm

// Low-rank additions of row_kernels.h, included by each unit behind row_kernels_common.h into a namespace without a name.

// Of x at once: what is loaded of a matrix serves so many rows.
constexpr int kQuad = kLowRankRows;

int64_t low_rank_bytes(int64_t most_ranks) { return kQuad * low_rank_stride(most_ranks) * 4; }

// Of sums [R][kLanes / R] the columns of J rows of A.
template <typename T, int R, int J>
LANES_INLINE void add_products(const T* const* x, const T* const* a, int64_t inner, Lanes* sums) {
  Lanes own[J][R] = {};
  int64_t k = 0;
  for (; k + kLanes <= inner; k += kLanes) {
    Lanes rows[R];
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) rows[r] = load(x[r] + k);
#pragma GCC unroll 16
    for (int j = 0; j < J; ++j) {
      const Lanes other = load(a[j] + k);
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r) own[j][r] = own[j][r] + rows[r] * other;
    }
  }
#pragma GCC unroll 16
  for (int j = 0; j < J; ++j) {
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) {
      if (k < inner) own[j][r] = own[j][r] + load(x[r] + k, inner - k) * load(a[j] + k, inner - k);
      sums[r * (kLanes / R) + j] = own[j][r];
    }
  }
}

// u [count][ranks] = x A^T, rounded, sixteen sums at a time: R rows of x, of which `count` are wanted, 16 / R of A.
template <typename T, int R>
__attribute__((noinline)) void project(const T* const* x, const T* a, int64_t inner, int64_t ranks, float* u, int64_t count) {
  constexpr int kTogether = kLanes / R, kAtOnce = kSums / R < 8 ? kSums / R : 8;  // few ranks cost as few
  for (int64_t first = 0; first < ranks; first += kTogether) {
    const T* rows[kTogether];
    for (int64_t j = 0; j < kTogether; ++j) rows[j] = a + (first + j < ranks ? first + j : first) * inner;
    Lanes sums[kLanes] = {};
    for (int j = 0; j < kTogether; j += kAtOnce) {
      if (first + j < ranks) add_products<T, R, kAtOnce>(x, rows + j, inner, sums + j);
    }
    float all[kLanes];
    store(all, rounded<T>(totals(sums)));
    for (int64_t r = 0; r < count; ++r) {
      for (int64_t j = 0; j < kTogether && first + j < ranks; ++j) u[r * low_rank_stride(ranks) + first + j] = all[r * kTogether + j];
    }
  }
}

// Columns [n, n + left) of a row, sixteen at most, with what is added to them.
template <typename T>
LANES_INLINE void finish_low_rank(T* out, Lanes delta, const CpuLowRankPart* part, const T* bias, int64_t n, int64_t left) {
  Lanes own = load(out + n, left);
  if (part->gain == nullptr) return store(out + n, own + delta * part->scaling, left);
  const Lanes shift = bias != nullptr ? load(bias + n, left) : Lanes{};
  store(out + n, (own - shift + delta * part->scaling) * load(part->gain + n, left) + shift, left);
}

// Columns [n, end) of the part: out R rows += scaling * u B^T, C times sixteen columns at a time.
template <typename T, int R, int C>
__attribute__((noinline)) void expand(T* const* out, const float* u, int64_t u_stride, const CpuLowRankPart* part, const T* bias, int64_t n,
                                      int64_t end) {
  const auto* const b = static_cast<const T*>(part->b);
  const int64_t count = part->count;
  for (; n + C * kLanes <= end; n += C * kLanes) {
    Lanes sums[R][C] = {};
    for (int64_t j = 0; j < part->rank; ++j) {
#pragma GCC unroll 4
      for (int c = 0; c < C; ++c) {
        const Lanes own = load(b + j * count + n + c * kLanes);
#pragma GCC unroll 4
        for (int r = 0; r < R; ++r) sums[r][c] = sums[r][c] + own * u[r * u_stride + j];
      }
    }
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
      for (int c = 0; c < C; ++c) finish_low_rank(out[r], sums[r][c], part, bias, n + c * kLanes, kLanes);
    }
  }
  for (; n < end; n += kLanes) {
    for (int r = 0; r < R; ++r) {
      Lanes sum{};
      for (int64_t j = 0; j < part->rank; ++j) sum = sum + load(b + j * count + n, end - n) * u[r * u_stride + j];
      finish_low_rank(out[r], sum, part, bias, n, end - n);
    }
  }
}

template <typename T, int R>
void project_rows(const CpuLowRank* rows, float* u, int64_t first, int64_t count) {
  const T* x[R];
  for (int64_t r = 0; r < R; ++r) x[r] = static_cast<const T*>(rows->x) + (first + (r < count ? r : 0)) * rows->x_stride;
  project<T, R>(x, static_cast<const T*>(rows->a), rows->inner, rows->ranks, u, count);
}

// Columns [from, to) of rows whose u are at `u`.
template <typename T, int R>
void expand_rows(const CpuLowRank* rows, const float* u, int64_t first, int64_t count, int64_t from, int64_t to) {
  const int64_t u_stride = low_rank_stride(rows->ranks);
  for (int64_t i = 0; i < rows->part_count; u += rows->parts[i++].rank) {
    const CpuLowRankPart* const part = rows->parts + i;
    const int64_t n = from > part->begin ? from - part->begin : 0, end = to - part->begin < part->count ? to - part->begin : part->count;
    if (n >= end) continue;
    const T* const bias = rows->bias != nullptr ? static_cast<const T*>(rows->bias) + part->begin : nullptr;
    T* own[R];
    for (int64_t r = 0; r < R; ++r) own[r] = static_cast<T*>(rows->out) + (first + r) * rows->out_stride + part->begin;
    if (count == R) {
      expand<T, R, (R == kQuad ? 2 : 4) / kPieces>(own, u, u_stride, part, bias, n, end);
    } else {
      for (int64_t r = 0; r < count; ++r) expand<T, 1, 4 / kPieces>(own + r, u + r * u_stride, u_stride, part, bias, n, end);
    }
  }
}

template <typename T>
void project_all(const CpuLowRank* rows, float* u, int64_t begin, int64_t end) {
  for (int64_t first = begin; first < end; first += kQuad) {
    const int64_t count = end - first < kQuad ? end - first : kQuad;
    float* const own = u + (first - begin) * low_rank_stride(rows->ranks);
    if (count == 1) {
      project_rows<T, 1>(rows, own, first, count);
    } else if (count == 2) {
      project_rows<T, 2>(rows, own, first, count);
    } else {
      project_rows<T, kQuad>(rows, own, first, count);
    }
  }
}

template <typename T>
void expand_all(const CpuLowRank* rows, const float* u, int64_t begin, int64_t end, int64_t from, int64_t to) {
  for (int64_t first = begin; first < end; first += kQuad) {
    const int64_t count = end - first < kQuad ? end - first : kQuad;
    const float* const own = u + (first - begin) * low_rank_stride(rows->ranks);
    if (count == 1) {
      expand_rows<T, 1>(rows, own, first, count, from, to);
    } else if (count == 2) {
      expand_rows<T, 2>(rows, own, first, count, from, to);
    } else {
      expand_rows<T, kQuad>(rows, own, first, count, from, to);
    }
  }
}

void project_low_rank(const CpuLowRank* rows, float* u, int64_t begin, int64_t end) {
  return rows->is_bf16 ? project_all<Bf16>(rows, u, begin, end) : project_all<float>(rows, u, begin, end);
}

void expand_low_rank(const CpuLowRank* rows, const float* u, int64_t begin, int64_t end, int64_t from, int64_t to) {
  return rows->is_bf16 ? expand_all<Bf16>(rows, u, begin, end, from, to) : expand_all<float>(rows, u, begin, end, from, to);
}

// A few rows at a time, whose u stay near.
void add_low_rank(const CpuLowRank* rows, void* work, int64_t begin, int64_t end) {
  auto* const u = static_cast<float*>(work);
  for (int64_t first = begin; first < end; first += kQuad) {
    const int64_t last = end - first < kQuad ? end : first + kQuad;
    project_low_rank(rows, u, first, last);
    expand_low_rank(rows, u, first, last, 0, INT64_MAX);
  }
}

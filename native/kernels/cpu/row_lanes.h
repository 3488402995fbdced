// Sixteen fp32 lanes as every level has them, included by the units of row_kernels.h into a namespace without a name: in pieces as wide
// as the level's registers, since what is wider lives in memory. Products are not contracted with sums (-ffp-contract=off).

constexpr int64_t kLanes = 16;
#if defined(__AVX512F__)
constexpr int kPieces = 1;
#else
constexpr int kPieces = 2;
#endif

using Piece = float __attribute__((vector_size(64 / kPieces)));
using PieceWords = uint32_t __attribute__((vector_size(64 / kPieces)));
using PieceIntegers = int32_t __attribute__((vector_size(64 / kPieces)));
using PieceHalves = uint16_t __attribute__((vector_size(32 / kPieces)));
constexpr int64_t kPieceLanes = kLanes / kPieces;

struct Lanes {
  Piece v[kPieces];
};

// Passed through memory, lanes would cost more than what is done with them.
#define LANES_INLINE [[gnu::always_inline]] inline
#define LANES_EACH(p) _Pragma("GCC unroll 2") for (int p = 0; p < kPieces; ++p)

LANES_INLINE Lanes operator+(Lanes a, Lanes b) {
  LANES_EACH(p) a.v[p] += b.v[p];
  return a;
}
LANES_INLINE Lanes operator-(Lanes a, Lanes b) {
  LANES_EACH(p) a.v[p] -= b.v[p];
  return a;
}
LANES_INLINE Lanes operator*(Lanes a, Lanes b) {
  LANES_EACH(p) a.v[p] *= b.v[p];
  return a;
}
LANES_INLINE Lanes operator/(Lanes a, Lanes b) {
  LANES_EACH(p) a.v[p] /= b.v[p];
  return a;
}
LANES_INLINE Lanes operator+(Lanes a, float b) {
  LANES_EACH(p) a.v[p] += b;
  return a;
}
LANES_INLINE Lanes operator-(Lanes a, float b) {
  LANES_EACH(p) a.v[p] -= b;
  return a;
}
LANES_INLINE Lanes operator*(Lanes a, float b) {
  LANES_EACH(p) a.v[p] *= b;
  return a;
}
LANES_INLINE Lanes operator/(Lanes a, float b) {
  LANES_EACH(p) a.v[p] /= b;
  return a;
}
LANES_INLINE Lanes operator-(Lanes a) {
  LANES_EACH(p) a.v[p] = -a.v[p];
  return a;
}

// The larger one; the second where either is NaN.
LANES_INLINE Lanes larger(Lanes a, Lanes b) {
  LANES_EACH(p) b.v[p] = a.v[p] > b.v[p] ? a.v[p] : b.v[p];
  return b;
}
// a where x is below zero, else b.
LANES_INLINE Lanes where_negative(Lanes x, Lanes a, Lanes b) {
  LANES_EACH(p) b.v[p] = x.v[p] < 0 ? a.v[p] : b.v[p];
  return b;
}

LANES_INLINE int64_t whole(int64_t count) { return (count + kLanes - 1) / kLanes * kLanes; }

LANES_INLINE Lanes load(const float* from) {
  Lanes lanes;
  LANES_EACH(p) __builtin_memcpy(&lanes.v[p], from + p * kPieceLanes, sizeof lanes.v[p]);
  return lanes;
}

LANES_INLINE Lanes load(const Bf16* from) {
  Lanes lanes;
  LANES_EACH(p) {
    PieceHalves halves;
    __builtin_memcpy(&halves, from + p * kPieceLanes, sizeof halves);
    lanes.v[p] = reinterpret_cast<Piece>(__builtin_convertvector(halves, PieceWords) << 16);
  }
  return lanes;
}

LANES_INLINE void store(float* to, Lanes lanes) {
  LANES_EACH(p) __builtin_memcpy(to + p * kPieceLanes, &lanes.v[p], sizeof lanes.v[p]);
}

// Bits of bf16: to nearest, ties to even; NaN stays NaN.
LANES_INLINE PieceWords narrowed(Piece piece) {
  const PieceWords bits = reinterpret_cast<PieceWords>(piece);
  const PieceWords even = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  return (bits & 0x7fffffff) > 0x7f800000 ? (bits >> 16) | 64 : even;
}

// Stored; what is there then.
LANES_INLINE Lanes store_rounded(float* to, Lanes lanes) {
  store(to, lanes);
  return lanes;
}

LANES_INLINE Lanes store_rounded(Bf16* to, Lanes lanes) {
  LANES_EACH(p) {
    const PieceWords words = narrowed(lanes.v[p]);
    const PieceHalves halves = __builtin_convertvector(words, PieceHalves);
    __builtin_memcpy(to + p * kPieceLanes, &halves, sizeof halves);
    lanes.v[p] = reinterpret_cast<Piece>(words << 16);
  }
  return lanes;
}

LANES_INLINE void store(Bf16* to, Lanes lanes) { store_rounded(to, lanes); }

// As it is when stored as T and loaded again.
template <typename T>
LANES_INLINE Lanes rounded(Lanes lanes) {
  if constexpr (sizeof(T) == 2) {
    LANES_EACH(p) lanes.v[p] = reinterpret_cast<Piece>(narrowed(lanes.v[p]) << 16);
  }
  return lanes;
}

// The first `left` numbers, if they are fewer than 16, and zeros.
template <typename T>
LANES_INLINE Lanes load(const T* from, int64_t left) {
  if (left >= kLanes) return load(from);
  T some[kLanes] = {};
  __builtin_memcpy(some, from, static_cast<size_t>(left) * sizeof(T));
  return load(some);
}

template <typename T>
LANES_INLINE void store(T* to, Lanes lanes, int64_t left) {
  if (left >= kLanes) return store(to, lanes);
  T some[kLanes];
  store(some, lanes);
  __builtin_memcpy(to, some, static_cast<size_t>(left) * sizeof(T));
}

template <typename T>
LANES_INLINE Lanes store_rounded(T* to, Lanes lanes, int64_t left) {
  if (left >= kLanes) return store_rounded(to, lanes);
  store(to, lanes, left);
  return rounded<T>(lanes);
}

// The first `left` of fewer than 16, and zeros.
LANES_INLINE Lanes first(Lanes lanes, int64_t left) {
  float v[kLanes];
  store(v, lanes);
  return load(v, left);
}

LANES_INLINE float total(Lanes lanes) {
  float v[kLanes];
  store(v, lanes);
  for (int64_t width = kLanes / 2; width > 0; width /= 2) {
    for (int64_t i = 0; i < width; ++i) v[i] += v[i + width];
  }
  return v[0];
}

// Totals of sixteen, each in its lane: halves of two are added side by side, then quarters of four, and so on, as total() does.
LANES_INLINE Lanes totals(const Lanes sums[kLanes]) {
  using Eight = float __attribute__((vector_size(32)));
  Eight v[kLanes];
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; ++i) {
#if defined(__AVX512F__)
    const Piece x = sums[i].v[0];
    v[i] = __builtin_shufflevector(x, x, 0, 1, 2, 3, 4, 5, 6, 7) + __builtin_shufflevector(x, x, 8, 9, 10, 11, 12, 13, 14, 15);
#else
    v[i] = sums[i].v[0] + sums[i].v[1];
#endif
  }
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) {
    const Eight a = v[2 * i], b = v[2 * i + 1];
    v[i] = __builtin_shufflevector(a, b, 0, 1, 2, 3, 8, 9, 10, 11) + __builtin_shufflevector(a, b, 4, 5, 6, 7, 12, 13, 14, 15);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    const Eight a = v[2 * i], b = v[2 * i + 1];
    v[i] = __builtin_shufflevector(a, b, 0, 1, 4, 5, 8, 9, 12, 13) + __builtin_shufflevector(a, b, 2, 3, 6, 7, 10, 11, 14, 15);
  }
  Lanes all;
  for (int i = 0; i < 2; ++i) {
    const Eight a = v[2 * i], b = v[2 * i + 1];
    const Eight eight = __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14) + __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15);
    __builtin_memcpy(reinterpret_cast<char*>(&all) + i * sizeof eight, &eight, sizeof eight);
  }
  return all;
}

// e^x for x <= 0 within two steps of fp32, below the normal numbers, too; NaN stays NaN. x = n ln 2 + r, ln 2 in two parts, the
// first of so few bits that its products with n are exact; e^r by its series to r^7, 5e-9 for |r| <= ln 2 / 2.
LANES_INLINE Piece exponential(Piece x) {
  x = x < -104.0f ? Piece{} - 104.0f : x;
  const Piece shifted = x * 1.44269504f + 0x1.8p23f, n = shifted - 0x1.8p23f;
  const Piece r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  Piece p = Piece{} + 1.0f / 5040;
  p = p * r + 1.0f / 720;
  p = p * r + 1.0f / 120;
  p = p * r + 1.0f / 24;
  p = p * r + 1.0f / 6;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  // By two powers of two: one would be below the normal numbers.
  const PieceIntegers whole_n = reinterpret_cast<PieceIntegers>(reinterpret_cast<PieceWords>(shifted) - 0x4b400000);
  const PieceIntegers half = whole_n >> 1, rest = whole_n - half;
  return p * reinterpret_cast<Piece>((half + 127) << 23) * reinterpret_cast<Piece>((rest + 127) << 23);
}

LANES_INLINE Lanes exponential(Lanes x) {
  LANES_EACH(p) x.v[p] = exponential(x.v[p]);
  return x;
}

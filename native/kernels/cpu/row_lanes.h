// Sixteen fp32 lanes as every level has them, included by the units of row_kernels.h into a namespace without a name: the compiler makes
// of a vector what the unit's flags allow, and products are not contracted with sums (-ffp-contract=off).

using Lanes = float __attribute__((vector_size(64)));
using Words = uint32_t __attribute__((vector_size(64)));
using Integers = int32_t __attribute__((vector_size(64)));
using Halves = uint16_t __attribute__((vector_size(32)));

constexpr int64_t kLanes = 16;
// Passed through memory, lanes would cost more than what is done with them.
#define LANES_INLINE [[gnu::always_inline]] inline

LANES_INLINE int64_t whole(int64_t count) { return (count + kLanes - 1) / kLanes * kLanes; }

LANES_INLINE Lanes load(const float* from) {
  Lanes lanes;
  __builtin_memcpy(&lanes, from, sizeof lanes);
  return lanes;
}

LANES_INLINE Lanes load(const Bf16* from) {
  Halves halves;
  __builtin_memcpy(&halves, from, sizeof halves);
  return reinterpret_cast<Lanes>(__builtin_convertvector(halves, Words) << 16);
}

LANES_INLINE void store(float* to, Lanes lanes) { __builtin_memcpy(to, &lanes, sizeof lanes); }

// Bits of bf16: to nearest, ties to even; NaN stays NaN.
LANES_INLINE Words narrowed(Lanes lanes) {
  const Words bits = reinterpret_cast<Words>(lanes);
  const Words even = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  return (bits & 0x7fffffff) > 0x7f800000 ? (bits >> 16) | 64 : even;
}

LANES_INLINE void store(Bf16* to, Lanes lanes) {
  const Halves halves = __builtin_convertvector(narrowed(lanes), Halves);
  __builtin_memcpy(to, &halves, sizeof halves);
}

// As it is when stored as T and loaded again.
template <typename T>
LANES_INLINE Lanes rounded(Lanes lanes) {
  if constexpr (sizeof(T) == 2) return reinterpret_cast<Lanes>(narrowed(lanes) << 16);
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

LANES_INLINE float total(Lanes lanes) {
  float v[kLanes];
  store(v, lanes);
  for (int64_t width = kLanes / 2; width > 0; width /= 2) {
    for (int64_t i = 0; i < width; ++i) v[i] += v[i + width];
  }
  return v[0];
}

// Totals of sixteen, each in its lane: halves of two are added side by side, then quarters of four, and so on.
LANES_INLINE Lanes totals(Lanes v[kLanes]) {
  for (int i = 0; i < 8; ++i) {
    const Lanes a = v[2 * i], b = v[2 * i + 1];
    v[i] = __builtin_shufflevector(a, b, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23) +
           __builtin_shufflevector(a, b, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31);
  }
  for (int i = 0; i < 4; ++i) {
    const Lanes a = v[2 * i], b = v[2 * i + 1];
    v[i] = __builtin_shufflevector(a, b, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27) +
           __builtin_shufflevector(a, b, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31);
  }
  for (int i = 0; i < 2; ++i) {
    const Lanes a = v[2 * i], b = v[2 * i + 1];
    v[i] = __builtin_shufflevector(a, b, 0, 1, 4, 5, 8, 9, 12, 13, 16, 17, 20, 21, 24, 25, 28, 29) +
           __builtin_shufflevector(a, b, 2, 3, 6, 7, 10, 11, 14, 15, 18, 19, 22, 23, 26, 27, 30, 31);
  }
  return __builtin_shufflevector(v[0], v[1], 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30) +
         __builtin_shufflevector(v[0], v[1], 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
}

// e^x for x <= 0 within two steps of fp32, below the normal numbers, too; NaN stays NaN. x = n ln 2 + r, ln 2 in two parts, the
// first of so few bits that its products with n are exact; e^r by its series to r^7, 5e-9 for |r| <= ln 2 / 2.
LANES_INLINE Lanes exponential(Lanes x) {
  x = x < -104.0f ? Lanes{} - 104.0f : x;
  const Lanes shifted = x * 1.44269504f + 0x1.8p23f, n = shifted - 0x1.8p23f;
  const Lanes r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  Lanes p = Lanes{} + 1.0f / 5040;
  p = p * r + 1.0f / 720;
  p = p * r + 1.0f / 120;
  p = p * r + 1.0f / 24;
  p = p * r + 1.0f / 6;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  // By two powers of two: one would be below the normal numbers.
  const Integers whole_n = reinterpret_cast<Integers>(reinterpret_cast<Words>(shifted) - 0x4b400000);
  const Integers half = whole_n >> 1, rest = whole_n - half;
  return p * reinterpret_cast<Lanes>((half + 127) << 23) * reinterpret_cast<Lanes>((rest + 127) << 23);
}

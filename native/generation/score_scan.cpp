#include "generation/score_scan.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "core/cpu_level.h"

namespace facellm {
namespace {

// Eight lanes in the compiler's own vectors: with AVX2 one register, without two of SSE. The bodies are inlined into
// two callers, which differ in the instructions that they may use.
constexpr size_t kLanes = 8;
using Floats = float __attribute__((vector_size(kLanes * sizeof(float))));
using Ints = int32_t __attribute__((vector_size(kLanes * sizeof(int32_t))));
#define ALWAYS_INLINE inline __attribute__((always_inline))

constexpr float kInfinity = std::numeric_limits<float>::infinity();

ALWAYS_INLINE void load(Floats& target, const float* from) { std::memcpy(&target, from, sizeof target); }

// exp(x) of x <= 0, 0 below -87: Cody and Waite's reduction and the polynomial of Cephes' expf.
ALWAYS_INLINE void exponential(Floats& x) {
  const Ints is_zero = x < -87.f;
  const Floats clamped = is_zero ? Floats{} - 87.f : x;
  const Floats shifted = clamped * 1.44269504f + 12582912.f;  // 1.5 * 2^23: rounds to a whole number
  const Floats n = shifted - 12582912.f;
  const Floats r = clamped - n * 0.693359375f + n * 2.12194440e-4f;
  Floats p = r * 1.9875691500e-4f + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * (r * r) + r + 1.f;
  Ints bits;
  std::memcpy(&bits, &p, sizeof bits);
  bits += __builtin_convertvector(n, Ints) << 23;
  std::memcpy(&p, &bits, sizeof p);
  x = is_zero ? Floats{} : p;
}

// `scores`: a whole block. False where one of them is no number.
ALWAYS_INLINE bool scan_block(const float* scores, float scale, ScanBlock& block) {
  Floats most = Floats{} - kInfinity;
  Ints bad{};
  for (size_t i = 0; i < kScanBlock; i += kLanes) {
    Floats x;
    load(x, scores + i);
    most = x > most ? x : most;
    bad |= ~(x < kInfinity);
  }
  block.max = most[0];
  bool is_number = bad[0] == 0;
  for (size_t lane = 1; lane < kLanes; ++lane) {
    block.max = std::max(block.max, most[lane]);
    is_number = is_number && bad[lane] == 0;
  }
  block.sum = 0;
  if (block.max == -kInfinity || !is_number) return is_number;
  Floats sum{};
  for (size_t i = 0; i < kScanBlock; i += kLanes) {
    Floats x;
    load(x, scores + i);
    x = (x - block.max) * scale;
    exponential(x);
    sum += x;
  }
  for (size_t lane = 0; lane < kLanes; ++lane) block.sum += sum[lane];
  return is_number;
}

ALWAYS_INLINE bool scan_blocks(std::span<const float> scores, float scale, ScanBlock* blocks) {
  bool is_number = true;
  size_t begin = 0;
  for (; begin + kScanBlock <= scores.size(); begin += kScanBlock) {
    is_number &= scan_block(scores.data() + begin, scale, *blocks++);
  }
  if (begin == scores.size()) return is_number;
  float last[kScanBlock];
  std::fill(std::copy(scores.begin() + static_cast<std::ptrdiff_t>(begin), scores.end(), last), last + kScanBlock,
            -kInfinity);
  return scan_block(last, scale, *blocks) && is_number;
}

bool scan_plain(std::span<const float> scores, float scale, ScanBlock* blocks) {
  return scan_blocks(scores, scale, blocks);
}
#ifdef __x86_64__
__attribute__((target("avx2,fma"))) bool scan_avx2(std::span<const float> scores, float scale, ScanBlock* blocks) {
  return scan_blocks(scores, scale, blocks);
}
#endif

}  // namespace

void scan_scores(std::span<const float> scores, float temperature, ScoreScan& scan) {
  scan.blocks.resize((scores.size() + kScanBlock - 1) / kScanBlock);
  const float scale = 1 / temperature;
#ifdef __x86_64__
  const auto run = cpu_features().level >= CpuLevel::kAvx2 ? scan_avx2 : scan_plain;
#else
  const auto run = scan_plain;
#endif
  scan.is_number = run(scores, scale, scan.blocks.data());
  scan.max = -kInfinity;
  for (const auto& block : scan.blocks) scan.max = std::max(scan.max, block.max);
  scan.sum = 0;
  for (const auto& block : scan.blocks) {
    if (block.sum > 0) scan.sum += block.sum * std::exp(static_cast<double>((block.max - scan.max) * scale));
  }
}

}  // namespace facellm

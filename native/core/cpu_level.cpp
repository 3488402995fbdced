#include "core/cpu_level.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <initializer_list>

#include "core/error.h"
#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace facellm {
namespace {

constexpr std::array kNames{"scalar", "avx2", "avx512", "amx"};

#if defined(__x86_64__)
struct Leaf {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;  // all zero where the processor does not know the leaf
  Leaf(unsigned leaf, unsigned subleaf) { __get_cpuid_count(leaf, subleaf, &eax, &ebx, &ecx, &edx); }
};

constexpr bool has_bits(uint64_t value, std::initializer_list<int> bits) {
  for (const int bit : bits) {
    if (((value >> bit) & 1) == 0) return false;
  }
  return true;
}

// XCR0: the register states that the operating system saves. Without OSXSAVE there is no such register.
uint64_t saved_states(const Leaf& basic) {
  if (!has_bits(basic.ecx, {27})) return 0;
  uint32_t low = 0, high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (static_cast<uint64_t>(high) << 32) | low;
}
#endif

}  // namespace

// Bits as in the Intel SDM, volume 2, CPUID, and volume 1, chapter 13 (XCR0).
CpuFeatures detect_cpu() {
#if defined(__x86_64__)
  const Leaf basic(1, 0), extended(7, 0), more(7, 1);
  const auto saved = saved_states(basic);
  const bool has_avx2 = has_bits(saved, {1, 2}) && has_bits(basic.ecx, {12, 28, 29}) && has_bits(extended.ebx, {5});
  if (!has_avx2) return {CpuLevel::kScalar, false};
  const bool has_avx512 = has_bits(saved, {5, 6, 7}) && has_bits(extended.ebx, {16, 17, 30, 31});
  if (!has_avx512) return {CpuLevel::kAvx2, false};
  const bool has_amx = has_bits(saved, {17, 18}) && has_bits(extended.edx, {22, 24});
  return {has_amx ? CpuLevel::kAmx : CpuLevel::kAvx512, has_bits(more.eax, {5}), has_bits(extended.ecx, {11})};
#else
  return {CpuLevel::kScalar, false};
#endif
}

CpuFeatures capped(CpuFeatures found, const std::string& cap) {
  if (cap.empty()) return found;
  for (size_t i = 0; i < kNames.size(); ++i) {
    if (cap != kNames[i]) continue;
    const auto level = std::min(found.level, static_cast<CpuLevel>(i));
    const bool is_wide = level >= CpuLevel::kAvx512;
    return {level, found.has_avx512_bf16 && is_wide, found.has_avx512_vnni && is_wide};
  }
  throw Error(ErrorCode::kInvalidArgument,
              "FACELLM_CPU_ISA: expected scalar, avx2, avx512 or amx, got '" + cap + "'");
}

const CpuFeatures& cpu_features() {
  static const CpuFeatures features = [] {
    const char* cap = std::getenv("FACELLM_CPU_ISA");
    return capped(detect_cpu(), cap == nullptr ? "" : cap);
  }();
  return features;
}

const char* cpu_level_name(CpuLevel level) { return kNames[static_cast<size_t>(level)]; }

bool has_fast_bf16_products(const CpuFeatures& features) {
#if defined(__x86_64__)
  return features.level == CpuLevel::kAmx || features.has_avx512_bf16;
#else
  return true;
#endif
}

}  // namespace facellm

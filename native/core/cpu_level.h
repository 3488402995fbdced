// Which instruction sets of the processor the engine counts on. Torch-free.
#pragma once

#include <string>

namespace facellm {

// In rising order; each holds all before it. kAvx2: with FMA and F16C. kAvx512: F, BW, DQ and VL. kAmx: tiles of bf16.
enum class CpuLevel { kScalar, kAvx2, kAvx512, kAmx };

struct CpuFeatures {
  CpuLevel level;
  bool has_avx512_bf16;  // AVX-512 registers and their bf16 products; false below kAvx512
  bool has_avx512_vnni = false;  // and their products of bytes
};

// What processor and operating system offer.
CpuFeatures detect_cpu();
// The same held down to the level that `cap` names: scalar, avx2, avx512 or amx; "" holds nothing down.
// Throws kInvalidArgument for another text.
CpuFeatures capped(CpuFeatures found, const std::string& cap);
// detect_cpu() under the environment's FACELLM_CPU_ISA, read once a process. Throws as capped() does.
const CpuFeatures& cpu_features();
const char* cpu_level_name(CpuLevel level);

// Whether the processor multiplies bf16 matrices faster than fp32 ones. libtorch's own products of bf16 fall to a
// plain loop below AVX-512 (a tenth of fp32's speed, measured on Zen 3) and to an emulation on AVX-512 without BF16
// (half of it). Only x86-64 was measured: elsewhere libtorch is left alone, which is true.
bool has_fast_bf16_products(const CpuFeatures& features);

}  // namespace facellm

#include "kernels/cpu/isa.h"

namespace facellm {

const CpuKernels& cpu_kernels_for([[maybe_unused]] const CpuFeatures& features) {
#if defined(__x86_64__)
  if (features.has_avx512_bf16 && features.level == CpuLevel::kAmx) return amx_kernels();
  if (features.has_avx512_bf16) return kAvx512Kernels;
  if (features.level > CpuLevel::kAvx2) return kAvx2BesideAvx512Kernels;
  if (features.level == CpuLevel::kAvx2) return kAvx2Kernels;
#endif
  return kScalarKernels;
}

const CpuKernels& cpu_kernels() {
  static const CpuKernels& kernels = cpu_kernels_for(cpu_features());
  return kernels;
}

const QuantisedKernels& quantised_kernels_for([[maybe_unused]] const CpuFeatures& features) {
#if defined(__x86_64__)
  if (features.has_avx512_vnni) return kAvx512Quantised;
  if (features.level >= CpuLevel::kAvx2) return kAvx2Quantised;
#endif
  return kScalarQuantised;
}

const QuantisedKernels& quantised_kernels() {
  static const QuantisedKernels& kernels = quantised_kernels_for(cpu_features());
  return kernels;
}

const AttentionKernels* attention_kernels_for([[maybe_unused]] const CpuFeatures& features) {
#if defined(__x86_64__)
  if (features.has_avx512_bf16 && features.level != CpuLevel::kAmx) return &kAvx512Attention;
  // Not on AVX-512 without BF16: libtorch's fp32 has the wider registers there.
  if (features.level == CpuLevel::kAvx2) return &kAvx2Attention;
#endif
  return nullptr;
}

const AttentionKernels* attention_kernels() {
  static const AttentionKernels* const kernels = attention_kernels_for(cpu_features());
  return kernels;
}

const RowKernels& row_kernels_for([[maybe_unused]] const CpuFeatures& features) {
#if defined(__x86_64__)
  if (features.level >= CpuLevel::kAvx512) return kAvx512Rows;
  if (features.level >= CpuLevel::kAvx2) return kAvx2Rows;
#endif
  return kScalarRows;
}

const RowKernels& row_kernels() {
  static const RowKernels& kernels = row_kernels_for(cpu_features());
  return kernels;
}

}  // namespace facellm

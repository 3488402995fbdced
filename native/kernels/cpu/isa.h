// Which of the units of kernels/cpu serves this processor.
#pragma once

#include "core/cpu_level.h"
#include "kernels/cpu/attention_kernels.h"
#include "kernels/cpu/cpu_kernels.h"
#include "kernels/cpu/quantised_kernels.h"
#include "kernels/cpu/row_kernels.h"

namespace facellm {

// The best unit for these features: AVX-512 without BF16 is served by AVX2.
const CpuKernels& cpu_kernels_for(const CpuFeatures& features);
// For this processor, under FACELLM_CPU_ISA.
const CpuKernels& cpu_kernels();
// The same for weights in 8 and 4 bits: AVX-512 without VNNI is served by AVX2.
const QuantisedKernels& quantised_kernels_for(const CpuFeatures& features);
const QuantisedKernels& quantised_kernels();
// The same for attention; null where libtorch is taken: with AMX, where it has kernels for that, and below AVX-512 BF16.
const AttentionKernels* attention_kernels_for(const CpuFeatures& features);
const AttentionKernels* attention_kernels();
// The same for what is computed a row at a time.
const RowKernels& row_kernels_for(const CpuFeatures& features);
const RowKernels& row_kernels();

}  // namespace facellm

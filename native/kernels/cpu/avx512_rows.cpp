// The kernels of rows for processors with AVX-512.
#if defined(__x86_64__)
#include <cstddef>

#include "kernels/cpu/row_kernels.h"

namespace facellm {
namespace {

#include "kernels/cpu/row_kernels_common.h"
#include "kernels/cpu/low_rank_common.h"
#include "kernels/cpu/row_backward_common.h"

}  // namespace

const RowKernels kAvx512Rows{"avx512", add_rms_norm, scale_add_norm, swiglu, rope_append, attend_bytes, attend, low_rank_bytes, add_low_rank,
                           project_low_rank, expand_low_rank,
                           add_rms_norm_backward, swiglu_backward, rope_backward, cross_entropy};

}  // namespace facellm
#endif

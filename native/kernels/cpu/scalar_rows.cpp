// The kernels of rows for any processor.
#include <cstddef>

#include "kernels/cpu/row_kernels.h"

namespace facellm {
namespace {

#include "kernels/cpu/row_kernels_common.h"

}  // namespace

const RowKernels kScalarRows{"scalar", add_rms_norm, swiglu, rope_append, attend_bytes, attend};

}  // namespace facellm

// What block_sum() of cuda_common.cuh takes of a block's shared memory; for the host, which sets the limits.
#pragma once

#include <cstdint>

namespace facellm::cuda {

constexpr int kMostWarps = 32;
// One partial sum a warp and the total, up to the next 128 bytes: what lies behind starts aligned.
constexpr int64_t kBlockSumBytes = ((kMostWarps + 1) * static_cast<int64_t>(sizeof(float)) + 127) / 128 * 128;

}  // namespace facellm::cuda

// Raw-pointer launcher; see patchify.h. tiles contiguous, out of as many numbers.
#pragma once

#include <cstdint>

#include "kernels/patchify/channel_scale.h"

typedef struct CUstream_st* cudaStream_t;

namespace facellm {

constexpr int64_t kPatchifySharedBytes = 48 * 1024;  // what a launch may take: a patch of three channels fits

// `side`: patches of a line, `patch`: pixels of a patch's.
struct PatchifyShape {
  int64_t tiles, side, patch;
};

void patchify_cuda(const uint8_t* tiles, void* out, const PatchifyShape& shape, const ChannelScale& scale, bool is_bf16, cudaStream_t stream);

}  // namespace facellm

// Raw-pointer launcher; see embed_patches.h. All tensors contiguous; `count`: patches of a tile, `size`: numbers of a patch.
#pragma once

#include <cstdint>

typedef struct CUstream_st* cudaStream_t;

namespace facellm {

void embed_patches_cuda(const void* patches, const void* class_token, const void* positions, void* out, int64_t tiles, int64_t count,
                        int64_t size, bool is_bf16, cudaStream_t stream);

}  // namespace facellm

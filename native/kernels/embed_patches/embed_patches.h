// What follows a vision transformer's patch projection (docs/internvl3.md, section 5): the class token in front, positions added.
#pragma once

#include <ATen/ATen.h>

namespace facellm {

// patches [N, P, C], class_token [1, 1, C], positions [1, P + 1, C] -> [N, P + 1, C]: class_token + positions[0], then
// patches + positions[1 ..], each sum rounded once. Of one dtype, fp32 or bf16. Throws kInvalidArgument. One pass; the plain version
// where autograd needs it.
at::Tensor embed_patches(const at::Tensor& patches, const at::Tensor& class_token, const at::Tensor& positions);

// The plain version, the reference of every other.
at::Tensor embed_patches_reference(const at::Tensor& patches, const at::Tensor& class_token, const at::Tensor& positions);

}  // namespace facellm

#include "kernels/embed_patches/embed_patches.h"

#include "kernels/common/checks.h"
#include "kernels/common/cuda_launch.h"
#include "kernels/embed_patches/embed_patches_cuda.h"

namespace facellm {
namespace {

void check_embed_patches(const at::Tensor& patches, const at::Tensor& class_token, const at::Tensor& positions) {
  KernelChecks checks("embed_patches");
  checks.require_float(patches, "patches");
  checks.require_same(class_token, patches, "class_token");
  checks.require_same(positions, patches, "positions");
  checks.require(patches.dim() == 3, "patches: expected shape [N, P, C]");
  if (patches.dim() == 3) {
    checks.require_shape(class_token, {1, 1, patches.size(2)}, "class_token");
    checks.require_shape(positions, {1, patches.size(1) + 1, patches.size(2)}, "positions");
  }
  checks.finish();
}

}  // namespace

at::Tensor embed_patches(const at::Tensor& given, const at::Tensor& class_token, const at::Tensor& positions) {
  check_embed_patches(given, class_token, positions);
  if (needs_autograd({given, class_token, positions})) return embed_patches_reference(given, class_token, positions);
  const int64_t tiles = given.size(0), count = given.size(1), size = given.size(2);
  const auto out = at::empty({tiles, count + 1, size}, given.options());
  if (out.numel() == 0) return out;
  if (!given.is_cuda()) {
    // libtorch's sums are as fast as memory: what they are spared is the copy of all patches behind the class token.
    auto first = out.narrow(1, 0, 1), others = out.narrow(1, 1, count);
    at::add_out(first, class_token, positions.narrow(1, 0, 1).expand({tiles, 1, size}));
    at::add_out(others, given, positions.narrow(1, 1, count));
    return out;
  }
#if FACELLM_CUDA
  const auto patches = given.contiguous(), token = class_token.contiguous(), places = positions.contiguous();
  cuda_launch("embed_patches", patches, [&](cudaStream_t stream) {
    embed_patches_cuda(patches.const_data_ptr(), token.const_data_ptr(), places.const_data_ptr(), out.mutable_data_ptr(), tiles, count, size,
                       patches.scalar_type() == at::kBFloat16, stream);
  });
  return out;
#else
  throw Error(ErrorCode::kDeviceNoCuda, "embed_patches: this build has no CUDA");
#endif
}

at::Tensor embed_patches_reference(const at::Tensor& patches, const at::Tensor& class_token, const at::Tensor& positions) {
  return at::cat({class_token.expand({patches.size(0), 1, patches.size(2)}), patches}, 1) + positions;
}

}  // namespace facellm

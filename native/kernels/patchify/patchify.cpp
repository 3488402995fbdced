#include "kernels/patchify/patchify.h"

#include "kernels/common/checks.h"
#include "kernels/common/cuda_launch.h"
#include "kernels/cpu/row_work.h"
#include "kernels/patchify/patchify_cuda.h"

namespace facellm {
namespace {

void check(const at::Tensor& tiles, int64_t patch) {
  KernelChecks checks("patchify");
  checks.require(tiles.scalar_type() == at::kByte, "tiles: expected uint8");
  checks.require(tiles.dim() == 4 && tiles.size(1) == 3 && tiles.size(2) == tiles.size(3), "tiles: expected shape [N, 3, S, S]");
  checks.require(patch > 0 && tiles.dim() == 4 && tiles.size(3) % patch == 0, "patch: expected a divisor of the tiles' side");
  checks.finish();
}

// A channel has 256 values: each is computed once and looked up from then on. `side`: patches of a line.
template <typename T>
void cut(const uint8_t* tiles, const ChannelScale& scale, int64_t count, int64_t side, int64_t patch, T* out) {
  T values[3][256];
  for (int c = 0; c < 3; ++c) {
    for (int u = 0; u < 256; ++u) values[c][u] = static_cast<T>((static_cast<float>(u) - scale.mean[c]) / scale.std[c]);
  }
  const int64_t size = side * patch, strip = 3 * patch * size;
  for_rows(count * side, strip, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const uint8_t* const from = tiles + i / side * 3 * size * size + i % side * patch * size;
      T* to = out + i * strip;
      for (int64_t j = 0; j < side; ++j) {
        for (int64_t c = 0; c < 3; ++c) {
          for (int64_t y = 0; y < patch; ++y, to += patch) {
            const uint8_t* const line = from + (c * size + y) * size + j * patch;
            for (int64_t x = 0; x < patch; ++x) to[x] = values[c][line[x]];
          }
        }
      }
    }
  });
}

}  // namespace

at::Tensor patchify(const at::Tensor& given, const ChannelScale& scale, int64_t patch, at::ScalarType dtype) {
  check(given, patch);
  const bool is_bf16 = dtype == at::kBFloat16;
  const bool fits = given.is_cpu() || (given.is_cuda() && 3 * patch * patch <= kPatchifySharedBytes);
  if (!fits || !(is_bf16 || dtype == at::kFloat)) return patchify_reference(given, scale, patch, dtype);
  const auto tiles = given.contiguous();
  const int64_t count = tiles.size(0), side = tiles.size(3) / patch;
  const auto out = at::empty({count, side * side, 3 * patch * patch}, tiles.options().dtype(dtype));
  if (out.numel() == 0) return out;
  const auto* const from = tiles.const_data_ptr<uint8_t>();
  if (tiles.is_cpu()) {
    if (is_bf16) {
      cut(from, scale, count, side, patch, out.mutable_data_ptr<at::BFloat16>());
    } else {
      cut(from, scale, count, side, patch, out.mutable_data_ptr<float>());
    }
    return out;
  }
#if FACELLM_CUDA
  cuda_launch("patchify", tiles, [&](cudaStream_t stream) {
    patchify_cuda(from, out.mutable_data_ptr(), {count, side, patch}, scale, is_bf16, stream);
  });
  return out;
#else
  throw Error(ErrorCode::kDeviceNoCuda, "patchify: this build has no CUDA");
#endif
}

}  // namespace facellm

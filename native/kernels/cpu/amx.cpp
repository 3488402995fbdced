// Beside AMX: few rows by AVX-512, which memory bounds anyway, more by oneDNN's block kernel, which libtorch exports and which
// takes our blocks as they lie. On AVX-512 with BF16 it gives the same sums by vdpbf16ps: so it is tested without tiles.
#if defined(__x86_64__)
#include <ATen/native/CPUBlas.h>

#include <algorithm>
#include <cstring>
#include <exception>

#include "kernels/cpu/cpu_kernels.h"

namespace facellm {
namespace {

namespace blas = at::native::cpublas;

// More than these PyTorch, too, gives to tiles (pytorch/pytorch 155444).
constexpr int64_t kFewRows = 4;
// Of tiles: in k, and in x. Rows are filled up with zeros, or each number of rows would be a kernel of its own.
constexpr int64_t kTileDepth = 32, kTileRows = 16;
// Of x in a call, and all that pass by a block while they stay near.
constexpr int64_t kCallRows = 64, kStripRows = 192;
constexpr int64_t kNearBytes = 4 << 20;
// Of k in a call, at most.
constexpr int64_t kDepth = 4096;
// Behind each row of x, so that 16 rows of 8 KB do not share places of the first cache.
constexpr int64_t kGap = 32;

bool takes(int64_t rows, int64_t inner) { return rows > kFewRows && inner % kTileDepth == 0; }
int64_t filled(int64_t rows) { return (rows + kTileRows - 1) / kTileRows * kTileRows; }

int64_t arranged_bytes(const CpuProduct* p) {
  return takes(p->rows, p->inner) ? filled(p->rows) * (p->inner + kGap) * 2 : kAvx512Kernels.arranged_bytes(p);
}

// Rows one behind another.
void arrange(void* arranged, const CpuProduct* p, int64_t begin_group, int64_t end_group) {
  if (!takes(p->rows, p->inner)) return kAvx512Kernels.arrange(arranged, p, begin_group, end_group);
  const int64_t group = kAvx512Kernels.group_rows, end = end_group * group >= p->rows ? filled(p->rows) : end_group * group;
  for (int64_t row = begin_group * group; row < end; ++row) {
    Bf16* const to = static_cast<Bf16*>(arranged) + row * (p->inner + kGap);
    const auto bytes = static_cast<size_t>(p->inner) * 2;
    if (row < p->rows) {
      std::memcpy(to, p->x + row * p->x_stride, bytes);
    } else {
      std::memset(to, 0, bytes);
    }
  }
}

// Rows [first, first + rows) of x, rows a multiple of kTileRows, by a block.
void multiply_rows(const CpuProduct* p, int64_t block, int64_t first, int64_t rows) {
  alignas(64) float sums[kCallRows * kBlockRows];
  const int64_t stride = p->inner + kGap, calls = (p->inner + kDepth - 1) / kDepth;
  const int64_t most = ((p->inner + calls - 1) / calls + kTileDepth - 1) / kTileDepth * kTileDepth;
  const auto* const x = static_cast<const at::BFloat16*>(p->arranged) + first * stride;
  const auto* const w = reinterpret_cast<const at::BFloat16*>(p->weight + block * p->inner * kBlockRows);
  for (int64_t k = 0; k < p->inner; k += most) {
    blas::brgemm(rows, kBlockRows, std::min(most, p->inner - k), stride, kBlockRows, kBlockRows, /*add_C=*/k > 0, x + k,
                 w + k * kBlockRows, sums);
  }
  kAvx512Kernels.finish(p, block, first, std::min(rows, p->rows - first), sums);
}

void multiply(const CpuProduct* p, int64_t begin, int64_t end, int64_t first_strip, int64_t end_strip) {
  if (!takes(p->rows, p->inner)) return kAvx512Kernels.multiply(p, begin, end, first_strip, end_strip);
  const int64_t rows = filled(p->rows), at_once = rows * p->inner * 2 <= kNearBytes ? end_strip - first_strip : 1;
  for (int64_t strip = first_strip; strip < end_strip; strip += at_once) {
    const int64_t last = std::min((strip + at_once) * kStripRows, rows);
    for (int64_t block = begin; block < end; ++block) {
      for (int64_t first = strip * kStripRows; first < last; first += kCallRows) multiply_rows(p, block, first, std::min(kCallRows, last - first));
    }
  }
  blas::brgemm_release();  // or libtorch's own products would find our tiles configured
}

// A libtorch that was built without it, or that is held down to less than AVX-512 (ONEDNN_MAX_CPU_ISA), throws.
bool has_brgemm() {
  alignas(64) at::BFloat16 x[kTileRows * kTileDepth] = {}, w[kBlockRows * kTileDepth] = {};
  alignas(64) float sums[kTileRows * kBlockRows];
  try {
    blas::brgemm(kTileRows, kBlockRows, kTileDepth, kTileDepth, kBlockRows, kBlockRows, false, x, w, sums);
    blas::brgemm_release();
    return true;
  } catch (const std::exception&) {
    return false;
  }
}

}  // namespace

const CpuKernels& amx_kernels() {
  static const CpuKernels kernels = [] {
    auto own = kAvx512Kernels;
    if (!has_brgemm()) return own;
    own.name = "amx";
    own.arranged_bytes = arranged_bytes;
    own.arrange = arrange;
    own.multiply = multiply;
    own.strip_rows = kStripRows;
    return own;
  }();
  return kernels;
}

}  // namespace facellm
#endif

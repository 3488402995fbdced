// Slab by slab: the disk is asked for the next while this one is copied, and pages already consumed
// leave memory, so that loading needs the checkpoint's size once. Inside a slab threads take chunks
// small enough that the scan for NaN reads from the processor's cache what the copy has just brought.
#include "model/copy_weights.h"

#include <ATen/Parallel.h>
#ifdef __linux__
#include <sys/mman.h>
#endif

#include <algorithm>
#include <atomic>
#include <cstring>

namespace facellm {
namespace {

constexpr int64_t kChunk = 1 << 18;        // elements
constexpr int64_t kSlab = 64 * kChunk;     // elements; 32 MB of bf16
constexpr int64_t kAhead = 128 << 20;      // bytes asked of the disk ahead of the copy

// A float whose exponent bits are all ones is NaN or infinite.
template <typename Bits>
bool scan_finite(const void* data, int64_t count, Bits exponent_mask) {
  const auto* values = static_cast<const Bits*>(data);
  Bits found = 0;
  for (int64_t i = 0; i < count; ++i) {
    found |= static_cast<Bits>((values[i] & exponent_mask) == exponent_mask);
  }
  return found == 0;
}

bool is_finite(const at::Tensor& chunk) {
  switch (chunk.scalar_type()) {
    case at::kBFloat16: return scan_finite<uint16_t>(chunk.const_data_ptr(), chunk.numel(), 0x7f80);
    case at::kHalf: return scan_finite<uint16_t>(chunk.const_data_ptr(), chunk.numel(), 0x7c00);
    default: return scan_finite<uint32_t>(chunk.const_data_ptr(), chunk.numel(), 0x7f800000u);
  }
}

void copy_chunk(const at::Tensor& from, at::Tensor to) {
  if (from.scalar_type() == to.scalar_type()) {
    std::memcpy(to.mutable_data_ptr(), from.const_data_ptr(), from.nbytes());
  } else {
    to.copy_(from);
  }
}

// Weights in 2 MB pages: faster to fill, and faster to stream through at every decode step. Advice
// only.
void prefer_huge_pages([[maybe_unused]] const at::Tensor& target) {
#ifdef MADV_HUGEPAGE
  constexpr uintptr_t kHugePage = uintptr_t{2} << 20;
  const auto begin = reinterpret_cast<uintptr_t>(target.const_data_ptr());
  const uintptr_t first = (begin + kHugePage - 1) / kHugePage * kHugePage;
  const uintptr_t last = (begin + target.nbytes()) / kHugePage * kHugePage;
  if (first < last) ::madvise(reinterpret_cast<void*>(first), last - first, MADV_HUGEPAGE);
#endif
}

}  // namespace

bool copy_weights(const at::Tensor& source, const at::Tensor& target, const SlabCallback& on_slab) {
  const auto from = source.view({-1});
  // Parameters are whole tensors or blocks of rows of one: contiguous either way.
  const auto to = target.view({-1});
  const int64_t count = from.numel(), element = static_cast<int64_t>(from.element_size());
  if (target.is_cpu()) prefer_huge_pages(target);
  on_slab(0, kAhead);
  std::atomic<bool> all_finite{true};
  for (int64_t slab = 0; slab < count; slab += kSlab) {
    const int64_t end = std::min(slab + kSlab, count);
    at::parallel_for(0, (end - slab + kChunk - 1) / kChunk, 1, [&](int64_t first, int64_t last) {
      for (int64_t chunk = first; chunk < last; ++chunk) {
        const int64_t offset = slab + chunk * kChunk, size = std::min(kChunk, end - offset);
        const auto piece = from.narrow(0, offset, size);
        if (target.is_cpu()) copy_chunk(piece, to.narrow(0, offset, size));
        if (!is_finite(piece)) all_finite = false;
      }
    });
    if (!target.is_cpu()) to.narrow(0, slab, end - slab).copy_(from.narrow(0, slab, end - slab));
    on_slab(end * element, end * element + kAhead);
  }
  return all_finite;
}

}  // namespace facellm

#include "model/pinned_upload.h"

#include <c10/core/impl/VirtualGuardImpl.h>

namespace facellm {

PinnedUpload::PinnedUpload(c10::Device device, int64_t most_bytes) : device_(device) {
  for (auto& buffer : buffers_) {
    buffer.bytes = at::empty({most_bytes}, at::TensorOptions(at::kByte).pinned_memory(true));
  }
}

at::Tensor PinnedUpload::next(int64_t count, at::ScalarType dtype) {
  current_ = 1 - current_;
  auto& [bytes, sent] = buffers_[current_];
  if (sent) sent->synchronize();
  return bytes.narrow(0, 0, count * static_cast<int64_t>(c10::elementSize(dtype))).view(dtype);
}

void PinnedUpload::send(const at::Tensor& staged, const at::Tensor& target) {
  // copy_() alone would convert on the host, into pageable memory.
  const bool converts = staged.scalar_type() != target.scalar_type();
  at::Tensor(target).copy_(converts ? staged.to(device_, staged.scalar_type(), /*non_blocking=*/true) : staged, /*non_blocking=*/true);
  auto& sent = buffers_[current_].sent;
  if (!sent) sent.emplace(device_.type());
  sent->record(c10::impl::VirtualGuardImpl(device_.type()).getStream(device_));
}

void PinnedUpload::finish() {
  for (auto& buffer : buffers_) {
    if (buffer.sent) buffer.sent->synchronize();
  }
}

}  // namespace facellm

// From files to a GPU: two buffers of pinned memory, filled in turn while the other's content travels. Nothing waits but
// for the buffer that is needed next. One thread's own.
#pragma once

#include <ATen/ATen.h>
#include <c10/core/Event.h>

#include <array>
#include <optional>

namespace facellm {

class PinnedUpload {
 public:
  PinnedUpload(c10::Device device, int64_t most_bytes);

  // Where the next `count` values belong, on the host; what was sent from there before has arrived.
  at::Tensor next(int64_t count, at::ScalarType dtype);
  // What next() gave, into `target`: the current stream's work after this call finds it there. Converted on the device where
  // dtypes differ.
  void send(const at::Tensor& staged, const at::Tensor& target);
  // Waits until everything has arrived.
  void finish();

 private:
  struct Buffer {
    at::Tensor bytes;  // pinned
    std::optional<c10::Event> sent;
  };
  c10::Device device_;
  std::array<Buffer, 2> buffers_;
  size_t current_ = 0;
};

}  // namespace facellm

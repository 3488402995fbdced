// Copies by direction and kind, as libtorch's CUDA makes them: what differs in dtype or layout goes through a temporary tensor,
// pageable memory and results for the host make the host wait.
#include <ATen/ATen.h>
#include <ATen/native/Resize.h>
#include <torch/library.h>

#include "alias.h"
#include "device_state.h"
#include "device_memory.h"
#include "graph.h"
#include "record.h"
#include "stream_order.h"

namespace pretend_cuda {
namespace {

// Same dtype, both contiguous, one of them on the host.
void copy_plain(const at::Tensor& to, const at::Tensor& from, bool non_blocking) {
  const size_t bytes = to.nbytes();
  const bool is_upload = to.is_cuda();
  void* const target = to.mutable_data_ptr();
  const void* const source = from.const_data_ptr();
  const void* const own = is_upload ? source : target;
  const bool is_asynchronous = non_blocking && is_pinned(own);
  const auto stream = current_stream((is_upload ? to : from).get_device());
  note_use(is_upload ? target : source, is_upload ? Use::kWrite : Use::kRead);
  note_copy(!is_upload ? Copy::kDownload : is_pinned(own) ? Copy::kPinnedUpload : Copy::kPageableUpload, to, from);
  if (is_upload) {
    finish_download_of(source, bytes);
    std::memcpy(host_alias(target), source, bytes);
    if (is_asynchronous) return begin_upload(source, bytes);
  } else if (is_asynchronous) {
    return begin_download(target, host_alias(source), bytes);
  } else {
    std::memcpy(target, host_alias(source), bytes);
  }
  finish_copies(last_copy(), is_upload ? "upload" : "download");
  host_waits(clock_of(stream));
}

at::Tensor& copy_(at::Tensor& self, const at::Tensor& source, bool non_blocking) {
  if (self.numel() == 0) return self;
  const OnDevice on((self.is_cuda() ? self : source).get_device());
  if (self.is_cuda() && source.is_cuda()) {
    note_copy(Copy::kOnDevice, self, source);
    const auto copy = [self, source] {
      const Inside inside;
      HostAliases aliases;
      auto target = aliases.of(self);
      note_use(self.storage().data(), Use::kWrite);
      target.copy_(aliases.of(source));
    };
    if (!is_inside()) record_node(copy);
    copy();
    return self;
  }
  const bool is_same = self.scalar_type() == source.scalar_type();
  if (is_same && self.is_contiguous() && source.is_contiguous() && self.sizes() == source.sizes()) {
    copy_plain(self, source, non_blocking);
    return self;
  }
  // An upload is converted on the host, a download on the host, too, once it has arrived.
  at::Tensor to, from;
  if (self.is_cuda()) {
    to = self.is_contiguous() ? self : at::empty_like(self, at::MemoryFormat::Contiguous);
    from = source.to(self.scalar_type()).expand_as(self).contiguous();
  } else {
    from = source.expand_as(self).contiguous();
    to = self.is_contiguous() && is_same ? self
                                         : at::empty_like(self, self.options().dtype(source.scalar_type()), at::MemoryFormat::Contiguous);
  }
  copy_plain(to, from, non_blocking);
  if (!to.is_same(self)) self.copy_(to);
  return self;
}

at::Tensor copy_from(const at::Tensor& self, const at::Tensor& target, bool non_blocking) {
  at::Tensor to = target;
  return copy_(to, self, non_blocking);
}

at::Tensor copy_from_and_resize(const at::Tensor& self, const at::Tensor& target) {
  target.resize_(self.sizes());
  return copy_from(self, target, false);
}

at::Scalar local_scalar_dense(const at::Tensor& self) {
  note_copy(Copy::kDownload, self, self);
  note_use(self.const_data_ptr(), Use::kRead);
  finish_copies(last_copy(), "item");
  host_waits(clock_of(current_stream(self.get_device())));
  const Inside inside;
  HostAliases aliases;
  return at::_local_scalar_dense(aliases.of(self));
}

}  // namespace

TORCH_LIBRARY_IMPL(aten, CUDA, m) {
  m.impl("copy_", &copy_);
  m.impl("_copy_from", &copy_from);
  m.impl("_copy_from_and_resize", &copy_from_and_resize);
  m.impl("_local_scalar_dense", &local_scalar_dense);
}

}  // namespace pretend_cuda

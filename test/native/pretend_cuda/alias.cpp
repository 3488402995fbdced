#include "alias.h"

#include <ATen/EmptyTensor.h>

#include <algorithm>
#include <cstring>

#include "device_state.h"
#include "device_memory.h"
#include "stream_order.h"

namespace pretend_cuda {

at::Tensor HostAliases::of(const at::Tensor& x) {
  if (!x.defined() || !x.is_cuda()) return x;
  const auto known = std::ranges::find_if(storages_, [&](const auto& pair) { return pair.first.is_alias_of(x.storage()); });
  const bool is_new = known == storages_.end();
  if (is_new) note_use(x.storage().data(), Use::kRead);
  if (is_new) {
    // Resizable: an operation may want more room, and finds ordinary memory then.
    storages_.emplace_back(x.storage(), c10::Storage(c10::Storage::use_byte_size_t(), x.storage().nbytes(),
                                                     c10::DataPtr(host_alias(x.storage().data()), c10::Device(c10::kCPU)),
                                                     c10::GetAllocator(c10::kCPU), /*resizable=*/true));
  }
  auto storage = is_new ? storages_.back().second : known->second;
  auto alias = at::detail::make_tensor<c10::TensorImpl>(std::move(storage), c10::DispatchKeySet(c10::DispatchKey::CPU), x.dtype());
  alias.unsafeGetTensorImpl()->set_sizes_and_strides(x.sizes(), x.strides(), x.storage_offset());
  return alias;
}

at::Tensor HostAliases::to_device(const at::Tensor& result, c10::DeviceIndex device) {
  if (!result.defined() || result.is_cuda()) return result;
  const void* const memory = result.storage().data();
  if (is_host_alias(memory)) {
    for (const auto& [own, alias] : storages_) {
      if (alias.data() != memory) continue;
      auto view = at::detail::make_tensor<c10::TensorImpl>(c10::Storage(own), c10::DispatchKeySet(c10::DispatchKey::CUDA),
                                                           result.dtype());
      view.unsafeGetTensorImpl()->set_sizes_and_strides(result.sizes(), result.strides(), result.storage_offset());
      return view;
    }
  }
  const OnDevice on(device);
  const bool keeps_strides = result.is_non_overlapping_and_dense();
  const auto dense = keeps_strides ? result : result.contiguous();
  auto own = at::detail::empty_strided_generic(dense.sizes(), dense.strides(), device_allocator(),
                                               c10::DispatchKeySet(c10::DispatchKey::CUDA), dense.scalar_type());
  if (dense.numel() > 0) std::memcpy(host_alias(own.mutable_data_ptr()), dense.const_data_ptr(), dense.nbytes());
  return own;
}

void HostAliases::take_over(const at::Tensor& x, const at::Tensor& alias) {
  note_use(x.storage().data(), Use::kWrite);
  const bool has_moved = alias.numel() > 0 && !is_host_alias(alias.storage().data());
  if (has_moved) {
    x.resize_(alias.sizes());
    HostAliases aliases;
    auto target = aliases.of(x);
    target.copy_(alias);
  } else if (x.sizes() != alias.sizes() || x.strides() != alias.strides()) {
    x.unsafeGetTensorImpl()->set_sizes_and_strides(alias.sizes(), alias.strides(), alias.storage_offset());
  }
}

}  // namespace pretend_cuda

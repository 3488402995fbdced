// A device tensor as the CPU sees it: the same bytes, sizes and strides, under the address that the host may touch.
#pragma once

#include <ATen/ATen.h>

#include <utility>
#include <vector>

namespace pretend_cuda {

// Those of one operation: tensors that share memory share it as aliases, too, so that libtorch's checks see it.
class HostAliases {
 public:
  at::Tensor of(const at::Tensor& x);  // others than the device's stay
  // The device tensor for what an operation on the CPU gave: a view where it lies in a known alias' memory, else a copy.
  at::Tensor to_device(const at::Tensor& result, c10::DeviceIndex device);
  // After an operation that may have given `alias` another size or other memory.
  static void take_over(const at::Tensor& x, const at::Tensor& alias);

 private:
  std::vector<std::pair<c10::Storage, c10::Storage>> storages_;  // the device's, its alias
};

}  // namespace pretend_cuda

#pragma once

#include <c10/core/Device.h>

#include "device_state.h"

namespace c10::cuda {

class CUDAGuard {
 public:
  explicit CUDAGuard(Device device) : on_(device.index()) {}

 private:
  pretend_cuda::OnDevice on_;
};

}  // namespace c10::cuda

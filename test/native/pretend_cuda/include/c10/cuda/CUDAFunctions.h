// Takes the place of libtorch's header, which needs the CUDA toolkit; so do those beside it.
#pragma once

#include <c10/core/Device.h>

#include "device_state.h"

namespace c10::cuda {

inline DeviceIndex device_count() noexcept { return pretend_cuda::kDevices; }
inline DeviceIndex current_device() { return pretend_cuda::current_device(); }
inline void set_device(DeviceIndex device) { pretend_cuda::set_current_device(device); }

}  // namespace c10::cuda

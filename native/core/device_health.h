// What the texts of CUDA's failures mean, and whether the GPU is lost to this process. Torch-free.
#pragma once

#include <string>
#include <string_view>

#include "core/error.h"

namespace facellm {

enum class DeviceFailure {
  kNone,         // not of the GPU
  kOutOfMemory,  // the work at hand failed, the GPU goes on
  kUnavailable,  // no device, no driver, or a call that failed alone
  kLost,         // the process can never use the GPU again: every later call gives the same error
};

// By the text that CUDA, cuBLAS, cuDNN or libtorch gave: there is nothing else to tell by.
DeviceFailure classify_device_failure(std::string_view text);

// The error for a failure that libtorch or a kernel told by this text. Remembers a lost GPU; once it is lost every
// failure of the GPU is kDeviceLost.
Error device_error(DeviceFailure failure, const std::string& text);

// For work on a device of this name ("cpu", "cuda:0"): throws kDeviceLost where the GPU is lost, before anything is
// started on it.
void require_device(std::string_view device);

}  // namespace facellm

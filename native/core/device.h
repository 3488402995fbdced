// Names of devices and dtypes as users write them, turned into libtorch's, with plain errors.
#pragma once

#include <ATen/ATen.h>

#include <string>

namespace facellm {

// "cpu", "cuda" (the current device) or "cuda:N". Throws kInvalidArgument for another text,
// kDeviceNoCuda in a build without CUDA, kDeviceUnavailable where the GPU or its driver is absent, or
// the build holds no code for the card.
at::Device parse_device(const std::string& name);
// "fp32" or "bf16".
at::ScalarType parse_dtype(const std::string& name);
const char* dtype_name(at::ScalarType dtype);

}  // namespace facellm

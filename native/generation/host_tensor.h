// A tensor of the device as plain fp32 numbers.
#pragma once

#include <ATen/ATen.h>

#include <string>

#include "generation/request.h"

namespace facellm {

inline HostTensor to_host(const std::string& name, const at::Tensor& value) {
  const auto host = value.to(at::kCPU, at::kFloat).contiguous();
  const auto* data = host.const_data_ptr<float>();
  return {name, host.sizes().vec(), std::vector<float>(data, data + host.numel())};
}

}  // namespace facellm

// The devices that a test body runs on: the CPU, and a GPU where this machine has one.
#pragma once

#include <ATen/Context.h>

#include <string>
#include <vector>

namespace facellm {

inline std::vector<std::string> test_devices() {
  if (at::hasCUDA()) return {"cpu", "cuda"};
  return {"cpu"};
}

}  // namespace facellm

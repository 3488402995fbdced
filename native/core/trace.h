// A visitor for the stages of a forward pass, for golden tests and `facellm doctor`. Model code
// calls it under the oracle's names; an empty one costs a branch.
#pragma once

#include <ATen/ATen.h>

#include <functional>
#include <string>

namespace facellm {

using Trace = std::function<void(const std::string& name, const at::Tensor& value)>;

}  // namespace facellm

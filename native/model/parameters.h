// The list that ties module members to checkpoint names. Names are the released HF ones (form A of
// docs/internvl3.md, section 3.2), model/name_map knows the others. Tensors may be views into fused ones.
#pragma once

#include <ATen/ATen.h>

#include <string>
#include <utility>
#include <vector>

#include "layers/linear.h"
#include "layers/norm.h"

namespace facellm {

using ParameterList = std::vector<std::pair<std::string, at::Tensor>>;

inline void append(ParameterList& list, const std::string& prefix, const Linear& linear) {
  list.emplace_back(prefix + ".weight", linear.weight);
  if (linear.bias.defined()) list.emplace_back(prefix + ".bias", linear.bias);
}

inline void append(ParameterList& list, const std::string& prefix, const Norm& norm) {
  list.emplace_back(prefix + ".weight", norm.weight);
  if (norm.bias.defined()) list.emplace_back(prefix + ".bias", norm.bias);
}

// Rows [begin, begin + count) of a fused linear layer under the name of the layer they came from.
inline void append_rows(ParameterList& list, const std::string& prefix, const Linear& fused,
                        int64_t begin, int64_t count) {
  list.emplace_back(prefix + ".weight", fused.weight.narrow(0, begin, count));
  if (fused.bias.defined()) list.emplace_back(prefix + ".bias", fused.bias.narrow(0, begin, count));
}

// A linear layer and the checkpoint modules whose rows it holds, in order: one for a plain layer, q/k/v
// or gate/up for a fused one. Names are the released HF ones without ".weight".
struct LinearSite {
  struct Slice {
    std::string name;
    int64_t begin;  // first row
    int64_t count;
  };
  Linear* linear;
  std::vector<Slice> slices;
};

using LinearSiteList = std::vector<LinearSite>;

}  // namespace facellm

// nf4 as bitsandbytes stores it: docs/quantisation.md, "Files".
#pragma once

#include "checkpoint/quantised_weight.h"

namespace facellm {

// As find_quantised and read_quantised, of such files.
std::optional<QuantisedTensors> find_nf4(const Checkpoint& checkpoint, const std::string& module, std::vector<std::string>& problems);
QuantisedWeight read_nf4(const Checkpoint& checkpoint, const QuantisedTensors& tensors);

}  // namespace facellm

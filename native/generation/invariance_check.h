// What deterministic mode stands on is a property of libtorch's kernels on this processor, found by measuring and
// promised by nobody (docs/numerics.md). So it is tried anew whenever a model is loaded, on the model's own shapes.
#pragma once

#include <string>

#include "core/cancellation.h"
#include "lora/adapter_stacks.h"
#include "model/internvl.h"

namespace facellm {

// Throws kNotDeterministic for a device whose kernels nobody has measured.
void require_known_kernels(const std::string& device);
// Computes rows of every kind of layer alone, in groups of many sizes and at other places of them, and queries of
// attention in chunks of many sizes. Throws kNotDeterministic, naming each operation whose bits differ.
void require_invariant(InternVl& model, const Cancellation& cancellation);
// The same of the layers that an adapter has a part in.
void require_invariant_adapter(InternVl& model, AdapterStacks& stacks, int64_t id);

}  // namespace facellm

// Weights that the files have quantised, into whatever form the model keeps them in: packed as they are where the processor's
// layout is the file's, else by what they stand for.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "checkpoint/quantised_weight.h"
#include "core/cancellation.h"
#include "kernels/cpu/packed_matrix.h"

namespace facellm {

// Rows [first, first + count) of a stored weight.
struct QuantisedRows {
  QuantisedTensors tensors;
  int64_t first, count;
};

// One matrix of the model. `dense`: elements [begin, begin + n) of it, flattened; undefined: `packed` is filled.
struct QuantisedTarget {
  std::vector<QuantisedRows> slices;  // its rows, in order
  const PackedMatrix* packed = nullptr;
  WeightScheme scheme;
  at::Tensor dense = {};
  int64_t begin = 0;
};

// Fills every target, one after another: one weight is unpacked in memory at a time. `progress` is told rows times columns done.
// Returns the modules that hold NaN or infinity. Throws as read_quantised, and kCancelled.
std::vector<std::string> load_quantised(const Checkpoint& checkpoint, const Quantisation& form, const std::vector<QuantisedTarget>& targets,
                                        const std::function<void(int64_t done)>& progress, const Cancellation& cancellation);

}  // namespace facellm

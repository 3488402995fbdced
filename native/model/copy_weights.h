// From the files of a checkpoint into parameters, at the speed of the disk.
#pragma once

#include <ATen/ATen.h>

#include <functional>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "core/cancellation.h"

namespace facellm {

// One parameter and where its values lie: `target.numel()` of them in `stored` dtype, from byte
// `begin` of `file` on.
struct WeightCopy {
  at::Tensor target;   // contiguous, any dtype and device; may be a block of rows of another tensor
  std::string source;  // the checkpoint's tensor; several copies may share one
  at::ScalarType stored;
  int32_t file;
  uint64_t begin;
  bool is_in_place = false;  // the target is that place of the file already (model/map_weights)
};

// Fills every target, with conversion of dtype and device; `copies` are in file order. What is in place is
// brought into memory and looked through all the same. `progress` is told the bytes read, by the calling
// thread. Returns the sources that hold NaN or infinity, in file order. Throws as Checkpoint::read, and
// kCancelled.
std::vector<std::string> copy_weights(
    const Checkpoint& checkpoint, const std::vector<WeightCopy>& copies,
    const std::function<void(int64_t done, int64_t total)>& progress,
    const Cancellation& cancellation);

}  // namespace facellm

// Lets parameters lie in the checkpoint's files themselves, where dtype, order and device allow it.
#pragma once

#include <memory>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "checkpoint/file_mapping.h"
#include "model/copy_weights.h"

namespace facellm {

// The files that a model's memory is: kept as long as the model, asked before anything it computed is believed.
class WeightFiles {
 public:
  WeightFiles() = default;
  explicit WeightFiles(std::vector<std::shared_ptr<const FileMapping>> files) : files_(std::move(files)) {}
  // As FileMapping::has_changed, of any.
  bool has_changed() const {
    bool any = false;
    for (const auto& file : files_) any = file->has_changed() || any;
    return any;
  }
  // As FileMapping::require_unchanged, for each file.
  void require_unchanged() const {
    for (const auto& file : files_) file->require_unchanged();
  }

 private:
  std::vector<std::shared_ptr<const FileMapping>> files_;
};

// For every storage that `copies` fill from one stretch of one file in the file's own bytes: its memory is
// exchanged for the mapped file's, whoever has views of it, and those copies become `is_in_place`. That is all
// but q/k/v of a checkpoint in the model's dtype: gate and up, which the model joins, follow each other in files
// whose tensors are in order of name. Copies of anything else stay as they are.
WeightFiles map_weights(const Checkpoint& checkpoint, std::vector<WeightCopy>& copies);

}  // namespace facellm

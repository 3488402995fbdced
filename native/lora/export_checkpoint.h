// A checkpoint written anew: in the other layout, in another dtype, with adapters folded in. Plain data, no
// torch header. Tensor by tensor from the mapped files to the new ones: the model is never in memory.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "core/cancellation.h"
#include "lora/adapter_source.h"
#include "model/load_request.h"

namespace facellm {

struct ExportRequest {
  InternVlConfig config;
  // Source files, as in LoadRequest.
  std::vector<std::string> files;
  std::vector<std::pair<std::string, int32_t>> weight_map;
  std::vector<AdapterSource> adapters;  // folded in, in this order
  bool is_original_layout;  // what to write: original names with fused qkv, else released HF names
  std::string dtype;        // "fp32", "bf16"; "": every tensor as it is stored, quantised ones in bf16
  Quantisation quantisation;  // in which form the text layers' projections are written; empty: as they are
  std::string directory;    // exists; gets model.safetensors, or shards
  int64_t max_shard_bytes;  // a larger tensor gets a shard of its own
  int64_t available_bytes;  // on that disk
};

struct ExportedFile {
  std::string name;
  std::vector<std::string> tensors;
};

struct ExportResult {
  std::vector<ExportedFile> files;
  int64_t tensor_bytes;  // all tensors together
};

// Checks everything before the first byte is written. Merged weights are W + s B A (DoRA: rows scaled to their
// magnitudes) in fp32 through all adapters, rounded once. Throws kCheckpointInvalid, kAdapterInvalid (listing
// every tensor that does not fit), kRunWrite (no room, or a failed write), kNonFinite naming the tensor,
// kCancelled; complete files of the folder stay then.
ExportResult export_checkpoint(const ExportRequest& request, const LoadProgress& progress,
                               const Cancellation& cancellation);

}  // namespace facellm

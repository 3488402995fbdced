// What is asked of a loader and what it tells back: plain data, no torch header.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "model/config.h"

namespace facellm {

// Of weights that are read: bytes between two reports of progress.
constexpr int64_t kReportBytes = 64 << 20;

struct Preprocessing {
  double mean[3];
  double std[3];
  double rescale_factor;
};

// In which form linear layers' weights are kept: "stored" (the model's dtype), "int8" or "fp8", a scale a row, "int4", a scale
// for every `group` columns of a row, "nf4", one for 64, or "nf4-double", whose scales are those of bitsandbytes' double
// quantisation. Quantised while they are read. Of what is trained upon only the text layers are not "stored".
struct WeightForms {
  std::string text = "stored";    // the text layers' projections
  std::string head = "stored";
  std::string vision = "stored";  // of the tower's layers
  int64_t group = 64;             // 32, 64 or 128
  std::string embeddings = "stored";  // or "int8", put back row by row; a head that shares them must be int8, too
};

struct ModelInfo {
  std::string device;  // "cpu", "cuda:0"
  std::string dtype;   // "fp32", "bf16"
  int64_t parameter_count;
  int64_t parameter_bytes;  // in memory, mapped files among it
  int64_t packed_bytes;     // of these, weights in the order of the processor's own kernels
  WeightForms weights;
  double load_ms;
  int64_t peak_bytes;
};

struct LoadRequest {
  InternVlConfig config;
  Preprocessing preprocessing;
  // Data files of the checkpoint, absolute. For a sharded checkpoint `weight_map` (tensor name ->
  // index into files) holds what its index promises; empty for a single file.
  std::vector<std::string> files;
  std::vector<std::pair<std::string, int32_t>> weight_map;
  std::string device;  // "cpu", "cuda", "cuda:N"
  std::string dtype;   // "fp32", "bf16"
  WeightForms weights = {};
  // Weights may lie in the files, mapped, where device and dtype allow it; false: all in memory of one's own.
  bool uses_mmap;
  int64_t image_cache_bytes;   // projected features kept; 0 turns the cache off
  int64_t prefix_cache_bytes;  // keys and values kept that no request uses; 0 turns the cache off
  int64_t kv_bytes;            // all keys and values, allocated at once
  int64_t max_rows;            // answers under way at a time
  int64_t max_context;         // tokens of prompt and answer together
  bool is_deterministic;       // what a request gets follows from itself alone, bit for bit
};

using LoadProgress = std::function<void(int64_t bytes_done, int64_t bytes_total)>;
}  // namespace facellm

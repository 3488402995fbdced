// In which form a checkpoint's quantised weights are stored, as its config.json tells. Plain data.
#pragma once

#include <cstdint>
#include <string>

namespace facellm {

struct Quantisation {
  // "" (none), "pack-quantized", "int-quantized", "float-quantized" (compressed-tensors), "awq" (its gemm form),
  // "gptq", "gptq_v2", "nf4" (bitsandbytes)
  std::string format;
  int64_t bits = 0;   // of a code
  int64_t group = 0;  // columns that share a scale; 0: a row
  // Codes around 0, columns in order; what files that say so hold otherwise is refused.
  bool is_symmetric = false;
};

}  // namespace facellm

// What an adapter is before it is read: files and modules as plain data, no torch header.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace facellm {

// One adapted module; lib/lora resolves patterns to these.
struct AdapterModule {
  std::string name;  // released HF name, "language_model.model.layers.0.self_attn.q_proj"
  int64_t rank;
  double scaling;    // alpha / rank, or alpha / sqrt(rank) with rsLoRA
};

struct AdapterSpec {
  std::vector<AdapterModule> modules;
  bool uses_dora = false;
};

struct AdapterSource {
  std::string file;  // adapter_model.safetensors, absolute
  AdapterSpec spec;
};

}  // namespace facellm

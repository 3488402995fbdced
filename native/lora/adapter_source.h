// What an adapter is before it is read, and what is told of it then: plain data, no torch header.
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

struct AdapterInfo {
  int64_t id;  // names it in requests; never used twice by a model
  int64_t parameter_count;
  int64_t bytes;
  bool touches_vision;  // vision tower or projector: image vectors differ under it
};

// A stack: adapters in order; none is the base model.
using AdapterIds = std::vector<int64_t>;

}  // namespace facellm

// Where a parameter may lie in a checkpoint: the released HF names (form A), the in-memory HF names
// (form B), and the original InternVLChatModel names with fused qkv. Decided per tensor
// (docs/internvl3.md, section 3). Every exception to "member name equals checkpoint key" lives here.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace facellm {

struct TensorSource {
  std::string name;
  // Rows [part * n, (part + 1) * n) of a tensor with `parts` equal blocks of rows; parts 1: all.
  int64_t part = 0;
  int64_t parts = 1;
};

// All places of the parameter with this released HF name, in order of preference.
std::vector<TensorSource> tensor_sources(const std::string& name);

// The in-memory HF name (form B), which PEFT uses for modules: "language_model.model.layers.0..." ->
// "model.language_model.layers.0...". Works for parameters and modules; others come back unchanged.
std::string in_memory_name(const std::string& name);

// The tensor of the original layout that holds the parameter, whole or as one block of rows. Every
// parameter has one but `vision_tower.layernorm`, which that layout cannot express: "" then.
TensorSource original_tensor(const std::string& name);

// Tensors that some exporters write and that carry no parameter (rotary tables).
bool is_ignored_tensor(const std::string& name);

}  // namespace facellm

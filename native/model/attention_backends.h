// Which of libtorch's attentions answers the calls that the product makes (layers/attention.h): it decides by device, dtype,
// shapes and mask, and the one that writes all scores to memory is many times slower than the others. Torch-free.
#pragma once

#include <string>
#include <vector>

namespace facellm {

struct AttentionBackend {
  std::string call;     // "a picture", "a prompt", ...
  std::string backend;  // "flash", "memory-efficient", "cuDNN" or "composed"
};

// In bf16, with the 1B's heads. `device` as parse_device() takes it; throws as that does.
std::vector<AttentionBackend> attention_backends(const std::string& device);

}  // namespace facellm

// Writes a safetensors file as the readers of the Python package expect it: 8 bytes of length, a JSON
// header padded to 8 bytes, the data without gaps (docs/internvl3.md, section 3.4).
#pragma once

#include <ATen/ATen.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace facellm {

// A tensor that is made only when its turn comes, so that an export holds one at a time.
struct TensorToWrite {
  std::string name;
  at::ScalarType dtype;  // Float, Half or BFloat16, or of codes: Char, Int, Long, Float8_e4m3fn
  std::vector<int64_t> shape;
  std::function<at::Tensor()> make;  // of that dtype and shape, any device
};

// Writes to `path` + ".tmp", flushes it to the disk and renames it. Throws kRunWrite naming path and cause;
// nothing is left behind then. `metadata`: strings of the header's __metadata__.
void write_safetensors(const std::string& path, const std::vector<TensorToWrite>& tensors,
                       const std::vector<std::pair<std::string, std::string>>& metadata);

TensorToWrite to_write(std::string name, const at::Tensor& tensor);

}  // namespace facellm

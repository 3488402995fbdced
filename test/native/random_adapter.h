// Adapters of random matrices for a model, as files.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "checkpoint/safetensors_writer.h"
#include "core/error.h"
#include "lora/adapter.h"
#include "lora/adapter_source.h"
#include "model/internvl.h"

namespace facellm {

// A folder of its own, gone with it.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "facellm-adapters-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) throw Error(ErrorCode::kInternal, "no temporary folder");
    path_ = pattern;
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

// On the modules of `model` whose names hold one of `parts`, written to `file`.
inline AdapterSource random_adapter(InternVl& model, const std::string& file, const std::vector<std::string>& parts, int64_t rank,
                                    bool uses_dora = false) {
  AdapterSource result{file, {{}, uses_dora}};
  for (const auto& site : model.linears()) {
    for (const auto& slice : site.slices) {
      const auto holds = [&](const std::string& part) { return slice.name.find(part) != std::string::npos; };
      if (std::any_of(parts.begin(), parts.end(), holds)) result.spec.modules.push_back({slice.name, rank, 2.0});
    }
  }
  std::vector<TensorToWrite> tensors;
  for (const auto& [name, tensor] : Adapter::create(model, result.spec, 1)->parameters()) {
    const bool is_magnitude = name.find("magnitude") != std::string::npos;
    const auto values = is_magnitude ? tensor * (1 + 0.3 * at::randn(tensor.sizes())) : at::randn(tensor.sizes()) * 0.2;
    tensors.push_back(to_write(name, values));
  }
  write_safetensors(file, tensors, {});
  return result;
}

}  // namespace facellm

#include "core/cuda_archs.h"

#include <algorithm>
#include <charconv>

#ifndef FACELLM_CUDA_ARCH_LIST
#define FACELLM_CUDA_ARCH_LIST ""
#endif

namespace facellm {

std::vector<CudaArch> parse_cuda_archs(std::string_view text) {
  std::vector<CudaArch> archs;
  while (!text.empty()) {
    const auto space = std::min(text.find(' '), text.size());
    const std::string_view entry = text.substr(0, space);
    text.remove_prefix(std::min(space + 1, text.size()));
    int number = 0;
    const auto [end, failure] = std::from_chars(entry.begin(), entry.end(), number);
    if (failure != std::errc()) continue;
    std::string_view rest(end, entry.end());
    const char feature = rest.starts_with('a') || rest.starts_with('f') ? rest.front() : 0;
    if (feature) rest.remove_prefix(1);
    archs.push_back({number / 10, number % 10, feature, rest != "-virtual", rest != "-real"});
  }
  return archs;
}

std::string cuda_arch_name(const CudaArch& arch) {
  std::string name = (arch.is_real ? "sm_" : "compute_") + std::to_string(arch.major * 10 + arch.minor);
  if (arch.feature) name += arch.feature;
  return name;
}

bool runs_on(const std::vector<CudaArch>& archs, int major, int minor) {
  return archs.empty() || std::ranges::any_of(archs, [&](const CudaArch& arch) {
    // Machine code runs on later cards of its generation, text on all later ones; 'a' binds both to one
    // capability, 'f' to one generation.
    if (arch.feature == 'a') return arch.major == major && arch.minor == minor;
    if (arch.major == major) return arch.minor <= minor;
    return arch.is_virtual && !arch.feature && arch.major < major;
  });
}

std::vector<CudaArch> compiled_cuda_archs() { return parse_cuda_archs(FACELLM_CUDA_ARCH_LIST); }

}  // namespace facellm

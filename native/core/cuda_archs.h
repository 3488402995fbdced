// Which cards the CUDA kernels of a build run on. Torch-free and CUDA-free.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace facellm {

// One entry of CMAKE_CUDA_ARCHITECTURES ("80-real", "90a-real", "90-virtual", "86"): machine code ("real") for
// its compute capability, text that the driver compiles for later ones ("virtual"), or both.
struct CudaArch {
  int major;
  int minor;
  char feature;  // 'a' and 'f' bind code to one card or family; 0 for none
  bool is_real;
  bool is_virtual;
};

// Entries separated by spaces; those that only CMake can resolve ("native", "all") are left out.
std::vector<CudaArch> parse_cuda_archs(std::string_view text);
// As shown to users: "sm_80", "compute_90".
std::string cuda_arch_name(const CudaArch& arch);
// Whether one of them runs on a card of this compute capability; true where none is known.
bool runs_on(const std::vector<CudaArch>& archs, int major, int minor);
// Those that this build was compiled for; empty in a build without CUDA.
std::vector<CudaArch> compiled_cuda_archs();

}  // namespace facellm

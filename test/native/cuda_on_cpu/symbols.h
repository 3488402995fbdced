// What the module that holds the kernels says about itself: names of functions, lines of addresses, and the static
// shared memory of kernels, which are its thread-local variables (include/cuda_runtime.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace cuda_on_cpu {

// The distance from the module's begin, which needs no more bits; 0 for what lies outside.
uint32_t offset_of(const void* code);
std::string module_path();
// "FILE:LINE", and where that was inlined "; in FILE:LINE" for each caller.
std::string line_of(uint32_t offset);
// A kernel's name as the source has it, with template arguments, without namespaces and parameters.
std::string kernel_name(const void* kernel);

struct StaticShared {
  std::string name;  // FUNCTION::VARIABLE
  uintptr_t begin;  // on the calling thread
  size_t bytes;
};
std::vector<StaticShared> static_shared();

}  // namespace cuda_on_cpu

// How the device's own files book what they do.
#pragma once

#include <ATen/core/TensorBase.h>
#include <c10/core/Stream.h>

#include <cstdint>
#include <string>

namespace pretend_cuda {

// What runs as part of an operation is not booked, and is nobody's mistake.
class Inside {
 public:
  Inside();
  ~Inside();
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;
};
bool is_inside();

void note_operation(const std::string& name);
int64_t begun_operations();  // since the process began
void note_wait(const std::string& reason);
void note_allocation(size_t bytes);
enum class Copy { kPinnedUpload, kPageableUpload, kDownload, kOnDevice };
void note_copy(Copy kind, const at::TensorBase& target, const at::TensorBase& source);

// The step under way, if this thread has begun one.
bool is_in_step();
void add_line(std::string line);
void break_rule(std::string rule);
// dtype, where it lies, sizes and strides.
std::string text_of(const at::TensorBase& x);

}  // namespace pretend_cuda

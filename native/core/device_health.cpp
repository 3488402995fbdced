#include "core/device_health.h"

#include <algorithm>
#include <array>
#include <mutex>

namespace facellm {
namespace {

// cudaGetErrorString() of the errors of which CUDA's manual says that they leave the process in an inconsistent state
// (driver_types.h: 700, 702, 710, 714 to 719; and 214 and 220 of the hardware).
constexpr std::array<std::string_view, 11> kLostTexts{
    "an illegal memory access was encountered",
    "the launch timed out and was terminated",
    "device-side assert triggered",
    "hardware stack error",
    "an illegal instruction was encountered",
    "misaligned address",
    "operation not supported on global/shared address space",
    "invalid program counter",
    "unspecified launch failure",
    "uncorrectable ECC error encountered",
    "uncorrectable NVLink error detected during the execution",
};

// cuBLAS and cuDNN have their own words for want of memory.
constexpr std::array<std::string_view, 3> kMemoryTexts{"out of memory", "_ALLOC_FAILED", "ALLOCATION_FAILED"};

constexpr std::array<std::string_view, 7> kDeviceTexts{
    "CUDA error",   "Found no NVIDIA driver", "no CUDA-capable device", "CUBLAS_STATUS",
    "CUDNN_STATUS", "CUSOLVER_STATUS",        "CUSPARSE_STATUS"};

template <typename Texts>
bool holds_one(std::string_view text, const Texts& parts) {
  return std::any_of(parts.begin(), parts.end(),
                     [&](std::string_view part) { return text.find(part) != std::string_view::npos; });
}

std::mutex mutex;
std::string lost_by;  // the first failure's text; "": the GPU works

Error lost() {
  return Error(ErrorCode::kDeviceLost,
               "the GPU failed in a way that this process cannot recover from: restart the process; a training run "
               "resumes from its last checkpoint. The failure: " +
                   lost_by);
}

}  // namespace

DeviceFailure classify_device_failure(std::string_view text) {
  if (!holds_one(text, kDeviceTexts)) return DeviceFailure::kNone;
  if (holds_one(text, kLostTexts)) return DeviceFailure::kLost;
  return holds_one(text, kMemoryTexts) ? DeviceFailure::kOutOfMemory : DeviceFailure::kUnavailable;
}

Error device_error(DeviceFailure failure, const std::string& text) {
  const std::lock_guard lock(mutex);
  if (failure == DeviceFailure::kLost && lost_by.empty()) lost_by = text;
  if (!lost_by.empty()) return lost();
  if (failure == DeviceFailure::kOutOfMemory) {
    return Error(ErrorCode::kOutOfMemory,
                 "memory of the GPU ran out; the model stays usable. Use fewer tiles or images, a smaller batch, fewer "
                 "new tokens, or dtype bf16. libtorch said: " + text);
  }
  return Error(ErrorCode::kDeviceUnavailable,
               "the GPU cannot be used; run `npx facellm doctor`. libtorch said: " + text);
}

void require_device(std::string_view device) {
  if (!device.starts_with("cuda")) return;
  const std::lock_guard lock(mutex);
  if (!lost_by.empty()) throw lost();
}

}  // namespace facellm

#include "core/device.h"

#include <charconv>

#include "core/cuda_archs.h"
#include "core/device_health.h"
#include "core/error.h"
#if FACELLM_CUDA
#include <c10/cuda/CUDAFunctions.h>
#include <cuda_runtime_api.h>
#endif

namespace facellm {
#if FACELLM_CUDA
namespace {

// Told before anything is loaded: a kernel that lacks the card's code fails at its first launch.
void require_compiled_for(const std::string& name, int index) {
  int major = 0, minor = 0;
  if (cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, index) != cudaSuccess ||
      cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, index) != cudaSuccess) {
    (void)cudaGetLastError();
    return;  // the first real use tells what is wrong with the device
  }
  const auto archs = compiled_cuda_archs();
  if (runs_on(archs, major, minor)) return;
  std::string list;
  for (const auto& arch : archs) list += (list.empty() ? "" : ", ") + cuda_arch_name(arch);
  const std::string number = std::to_string(major * 10 + minor);
  throw Error(ErrorCode::kDeviceUnavailable,
              "device " + name + ": its compute capability is " + std::to_string(major) + "." +
                  std::to_string(minor) + ", this build of facellm holds code for " + list +
                  "; compile it for this card with `FACELLM_CUDA_ARCHITECTURES=" + number +
                  " npx facellm build`, or use device cpu");
}

}  // namespace
#endif

at::Device parse_device(const std::string& name) {
  if (name == "cpu") return at::Device(at::kCPU);
  const bool is_cuda = name == "cuda";
  int index = 0;
  if (!is_cuda) {
    const std::string prefix = "cuda:";
    const char* end = name.data() + name.size();
    bool is_number = name.starts_with(prefix) && name.size() > prefix.size();
    if (is_number) {
      auto [stop, failure] = std::from_chars(name.data() + prefix.size(), end, index);
      is_number = failure == std::errc() && stop == end && index >= 0 && index < 128;
    }
    if (!is_number) {
      throw Error(ErrorCode::kInvalidArgument,
                  "device: expected cpu, cuda or cuda:N, got '" + name + "'");
    }
  }
  require_device(name);
#if FACELLM_CUDA
  const int count = c10::cuda::device_count();
  if (index >= count) {
    throw Error(ErrorCode::kDeviceUnavailable,
                "device " + name + ": this machine shows " + std::to_string(count) +
                    " CUDA device(s); check the driver with nvidia-smi and CUDA_VISIBLE_DEVICES, "
                    "or use device cpu");
  }
  if (is_cuda) index = c10::cuda::current_device();
  require_compiled_for(name, index);
  return at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(index));
#else
  throw Error(ErrorCode::kDeviceNoCuda,
              "device " + name +
                  ": this build of facellm has no CUDA; install a CUDA libtorch and the CUDA "
                  "toolkit, run `npx facellm build`, or use device cpu");
#endif
}

at::ScalarType parse_dtype(const std::string& name) {
  if (name == "fp32") return at::kFloat;
  if (name == "bf16") return at::kBFloat16;
  throw Error(ErrorCode::kInvalidArgument, "dtype: expected fp32 or bf16, got '" + name + "'");
}

const char* dtype_name(at::ScalarType dtype) { return dtype == at::kFloat ? "fp32" : "bf16"; }

}  // namespace facellm

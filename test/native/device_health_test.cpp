// What exceptions of libtorch and CUDA become, by the texts that they come with.
#include <c10/util/Exception.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <new>

#include "core/device_health.h"
#include "core/translate_exception.h"

namespace facellm {
namespace {

template <typename Thrown>
Error translated(const Thrown& thrown) {
  try {
    throw thrown;
  } catch (...) {
    return translate_current_exception();
  }
}

Error from_libtorch(const std::string& text) {
  return translated(c10::Error({__func__, __FILE__, __LINE__}, text));
}

TEST(DeviceHealth, TellsWantOfMemoryFromFaults) {
  for (const std::string text : {"CUDA error: out of memory",
                                 "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
                                 "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
                                 "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
                                 "cusolver error: CUSOLVER_STATUS_ALLOC_FAILED, when calling `cusolverDnCreate(handle)`"}) {
    EXPECT_EQ(from_libtorch(text).code(), ErrorCode::kOutOfMemory) << text;
  }
  for (const std::string text : {"Found no NVIDIA driver on your system", "CUDA error: invalid configuration argument",
                                 "CUDA error: CUBLAS_STATUS_INVALID_VALUE when calling `cublasGemmEx(...)`",
                                 "cuDNN error: CUDNN_STATUS_NOT_SUPPORTED"}) {
    const auto error = from_libtorch(text);
    EXPECT_EQ(error.code(), ErrorCode::kDeviceUnavailable) << text;
    EXPECT_NE(error.message().find(text), std::string::npos);
  }
  // Of the CPU.
  EXPECT_EQ(from_libtorch("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes").code(),
            ErrorCode::kOutOfMemory);
  EXPECT_EQ(from_libtorch("mat1 and mat2 shapes cannot be multiplied").code(), ErrorCode::kInternal);
  EXPECT_EQ(from_libtorch("misaligned address").code(), ErrorCode::kInternal);
  EXPECT_EQ(translated(std::bad_alloc()).code(), ErrorCode::kOutOfMemory);
}

void lose_the_device() {
  const std::string fault = "CUDA error: an illegal memory access was encountered";
  for (const std::string& text : {fault, std::string("CUDA error: unspecified launch failure"),
                                 std::string("CUDA error: device-side assert triggered")}) {
    EXPECT_EQ(classify_device_failure(text), DeviceFailure::kLost) << text;
  }
  EXPECT_NO_THROW(require_device("cuda:0"));
  const auto first = from_libtorch(fault);
  EXPECT_EQ(first.code(), ErrorCode::kDeviceLost);
  EXPECT_NE(first.message().find(fault), std::string::npos);
  EXPECT_NE(first.message().find("restart the process"), std::string::npos);
  // What comes after it is its consequence, whatever it says.
  for (const std::string text : {"CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasGemmEx(...)`",
                                 "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"}) {
    const auto later = from_libtorch(text);
    EXPECT_EQ(later.code(), ErrorCode::kDeviceLost);
    EXPECT_NE(later.message().find(fault), std::string::npos);
  }
  try {
    require_device("cuda:0");
    FAIL() << "expected an error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kDeviceLost);
  }
  EXPECT_NO_THROW(require_device("cpu"));
  EXPECT_EQ(from_libtorch("mat1 and mat2 shapes cannot be multiplied").code(), ErrorCode::kInternal);
}

// The loss is for the process: one of its own, or no later test could use a GPU.
TEST(DeviceHealthLoss, StaysWithTheProcessAndNamesItsCauseAndRemedy) {
  EXPECT_EXIT((lose_the_device(), _exit(testing::Test::HasFailure() ? 1 : 0)), testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace facellm

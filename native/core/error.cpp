#include "core/error.h"

#include <array>

namespace facellm {
namespace {

constexpr std::array kTable{
    ErrorCodeEntry{ErrorCode::kInvalidArgument, "FACELLM_INVALID_ARGUMENT"},
    ErrorCodeEntry{ErrorCode::kCheckpointNotFound, "FACELLM_CHECKPOINT_NOT_FOUND"},
    ErrorCodeEntry{ErrorCode::kCheckpointInvalid, "FACELLM_CHECKPOINT_INVALID"},
    ErrorCodeEntry{ErrorCode::kImageTooLarge, "FACELLM_IMAGE_TOO_LARGE"},
    ErrorCodeEntry{ErrorCode::kPromptTooLong, "FACELLM_PROMPT_TOO_LONG"},
    ErrorCodeEntry{ErrorCode::kImageTokenMismatch, "FACELLM_IMAGE_TOKEN_MISMATCH"},
    ErrorCodeEntry{ErrorCode::kNonFinite, "FACELLM_NON_FINITE"},
    ErrorCodeEntry{ErrorCode::kDeviceNoCuda, "FACELLM_DEVICE_NO_CUDA"},
    ErrorCodeEntry{ErrorCode::kDeviceUnavailable, "FACELLM_DEVICE_UNAVAILABLE"},
    ErrorCodeEntry{ErrorCode::kOutOfMemory, "FACELLM_OUT_OF_MEMORY"},
    ErrorCodeEntry{ErrorCode::kCancelled, "FACELLM_CANCELLED"},
    ErrorCodeEntry{ErrorCode::kDisposed, "FACELLM_DISPOSED"},
    ErrorCodeEntry{ErrorCode::kInternal, "FACELLM_INTERNAL"},
    ErrorCodeEntry{ErrorCode::kAdapterInvalid, "FACELLM_ADAPTER_INVALID"},
    ErrorCodeEntry{ErrorCode::kLossNonFinite, "FACELLM_LOSS_NON_FINITE"},
    ErrorCodeEntry{ErrorCode::kRunWrite, "FACELLM_RUN_WRITE"},
    ErrorCodeEntry{ErrorCode::kDistributed, "FACELLM_DISTRIBUTED"},
    ErrorCodeEntry{ErrorCode::kDeviceLost, "FACELLM_DEVICE_LOST"},
    ErrorCodeEntry{ErrorCode::kNotDeterministic, "FACELLM_NOT_DETERMINISTIC"},
};

}  // namespace

std::span<const ErrorCodeEntry> error_code_table() { return kTable; }

const char* error_code_name(ErrorCode code) {
  for (const auto& entry : kTable) {
    if (entry.code == code) return entry.name;
  }
  return "FACELLM_INTERNAL";
}

}  // namespace facellm

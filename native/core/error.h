// Typed errors of the engine: every failure that user input or the machine can cause is one of
// these codes. The binding turns them into JavaScript errors with the same code string; the table
// here, lib/errors.ts and docs/errors.md are held equal by test/contract/errors.test.ts.
#pragma once

#include <exception>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace facellm {

enum class ErrorCode {
  kInvalidArgument,     // a value outside what the contract allows
  kCheckpointNotFound,  // a checkpoint file is absent or cannot be opened
  kCheckpointInvalid,   // truncated, malformed, missing / unexpected / mis-shaped tensors
  kImageTooLarge,       // more pixels or tiles than the limits allow
  kPromptTooLong,       // prompt plus requested tokens do not fit the position limit
  kImageTokenMismatch,  // image placeholders in the prompt differ from projected vectors
  kNonFinite,           // NaN or infinity where numbers were expected (weights, logits)
  kDeviceNoCuda,        // a CUDA device was asked of a build without CUDA
  kDeviceUnavailable,   // no such device, no driver, no code for the card, or the device failed
  kOutOfMemory,         // host or device memory ran out; the engine stays usable
  kCancelled,           // stopped by the caller
  kDisposed,            // used after dispose()
  kInternal,            // a fault of ours
  kAdapterInvalid,      // adapter files are malformed or do not fit the model
  kLossNonFinite,       // training met a loss or a gradient that is not a number
  kRunWrite,            // a file of a run or an export cannot be written
  kDistributed,         // a process of the group is gone, late, or was started wrongly
  kDeviceLost,          // the GPU failed for good, as far as this process goes
  kNotDeterministic,    // answers cannot be the same in any company here
};

struct ErrorCodeEntry {
  ErrorCode code;
  const char* name;  // "FACELLM_..."
};

std::span<const ErrorCodeEntry> error_code_table();
const char* error_code_name(ErrorCode code);

class Error : public std::exception {
 public:
  // `message` says what was expected, what came, where, and what to do; `details` lists every
  // single problem when there are several.
  Error(ErrorCode code, std::string message, std::vector<std::string> details = {})
      : code_(code), message_(std::move(message)), details_(std::move(details)) {}

  const char* what() const noexcept override { return message_.c_str(); }
  ErrorCode code() const { return code_; }
  const std::string& message() const { return message_; }
  const std::vector<std::string>& details() const { return details_; }

 private:
  ErrorCode code_;
  std::string message_;
  std::vector<std::string> details_;
};

}  // namespace facellm

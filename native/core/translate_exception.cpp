#include "core/translate_exception.h"

#include <c10/util/Exception.h>

#include <new>
#include <string_view>

#include "core/device_health.h"

namespace facellm {
namespace {

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

Error out_of_memory(const std::string& what) {
  return Error(ErrorCode::kOutOfMemory,
               "memory ran out; the model stays usable. Use fewer tiles or images, a smaller batch, "
               "fewer new tokens, or dtype bf16. libtorch said: " + what);
}

// c10::Error carries no kind for these: its text is all there is to tell by.
Error from_c10(const c10::Error& error) {
  const std::string what = error.what_without_backtrace();
  const auto failure = classify_device_failure(what);
  if (failure != DeviceFailure::kNone) return device_error(failure, what);
  if (contains(what, "can't allocate memory") || contains(what, "out of memory") ||
      contains(what, "Storage size calculation overflowed") ||
      contains(what, "invalid array size")) {
    return out_of_memory(what);
  }
  return Error(ErrorCode::kInternal, "libtorch failed: " + what);
}

}  // namespace

Error translate_current_exception() noexcept {
  try {
    throw;
  } catch (const Error& error) {
    return error;
  } catch (const c10::OutOfMemoryError& error) {
    return out_of_memory(error.what_without_backtrace());
  } catch (const c10::Error& error) {
    return from_c10(error);
  } catch (const std::bad_alloc&) {
    return out_of_memory("std::bad_alloc");
  } catch (const std::exception& error) {
    return Error(ErrorCode::kInternal, std::string("unexpected failure: ") + error.what());
  } catch (...) {
    return Error(ErrorCode::kInternal, "unexpected failure of unknown kind");
  }
}

}  // namespace facellm

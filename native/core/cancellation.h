// A flag that any thread may raise and that long work polls between layers, tiles and tokens.
#pragma once

#include <atomic>

#include "core/error.h"

namespace facellm {

class Cancellation {
 public:
  void request() noexcept { requested_.store(true, std::memory_order_relaxed); }
  bool requested() const noexcept { return requested_.load(std::memory_order_relaxed); }
  // Throws Error(kCancelled) once requested.
  void check() const {
    if (requested()) throw Error(ErrorCode::kCancelled, "the work was stopped by its caller");
  }

 private:
  std::atomic<bool> requested_{false};
};

}  // namespace facellm

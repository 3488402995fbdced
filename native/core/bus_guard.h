// What becomes of a mapping whose file goes away behind it. Touching such a page raises SIGBUS, which ends
// the process; inside a guarded range it does not: the range is filled up with zeros from that page on and is
// marked, and its owner asks before what was computed from it leaves the engine.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

namespace facellm {

class GuardedRange {
 public:
  // Guards [begin, begin + bytes), a mapping that starts on a page. Installs the process's handler for SIGBUS
  // where it is not; signals from elsewhere go to the handler that was there before, or end the process as they
  // would have. Nothing if the system refuses, if someone has put a handler over ours, or if 1024 ranges are
  // guarded already: then do not map. A handler that is put over ours later and does not pass on undoes the guard.
  static std::optional<GuardedRange> guard(void* begin, size_t bytes);

  GuardedRange(GuardedRange&& other) noexcept;
  GuardedRange& operator=(GuardedRange&&) = delete;
  ~GuardedRange();

  // True from the first touch of a page that the file no longer has, or that the disk failed to give.
  bool is_damaged() const noexcept;

 private:
  explicit GuardedRange(size_t slot) : slot_(slot) {}
  size_t slot_;
};

}  // namespace facellm

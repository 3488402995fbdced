#include "core/populate.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>

namespace facellm {
namespace {

[[maybe_unused]] void advise(const void* begin, size_t bytes, int advice) {
  const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  // Whole pages; those at the ends may be shared with neighbours, whom it does no harm.
  const auto first = reinterpret_cast<uintptr_t>(begin) & ~(page - 1);
  const auto last = reinterpret_cast<uintptr_t>(begin) + bytes;
  ::madvise(reinterpret_cast<void*>(first), last - first, advice);
}

}  // namespace

void populate([[maybe_unused]] void* begin, [[maybe_unused]] size_t bytes) {
#ifdef MADV_POPULATE_WRITE
  advise(begin, bytes, MADV_POPULATE_WRITE);
#endif
}

void populate_for_reading([[maybe_unused]] const void* begin, [[maybe_unused]] size_t bytes) {
#ifdef MADV_POPULATE_READ
  advise(begin, bytes, MADV_POPULATE_READ);
#endif
}

}  // namespace facellm

#include "core/populate.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>

namespace facellm {

void populate([[maybe_unused]] void* begin, [[maybe_unused]] size_t bytes) {
#ifdef MADV_POPULATE_WRITE
  const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  // Whole pages; those at the ends may be shared with neighbours, whom it does no harm.
  const auto first = reinterpret_cast<uintptr_t>(begin) & ~(page - 1);
  const auto last = reinterpret_cast<uintptr_t>(begin) + bytes;
  ::madvise(reinterpret_cast<void*>(first), last - first, MADV_POPULATE_WRITE);
#endif
}

}  // namespace facellm

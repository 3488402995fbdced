// The first touch of fresh memory, done at once.
#pragma once

#include <cstddef>

namespace facellm {

// Has the system back [begin, begin + bytes) with pages now, in one call, where each page would otherwise
// stop whoever writes it first. For memory that is about to be filled; what it holds stays. Advice only:
// nothing happens before Linux 5.14.
void populate(void* begin, size_t bytes);
// The same for memory that is about to be read: a mapped file's pages.
void populate_for_reading(const void* begin, size_t bytes);

}  // namespace facellm

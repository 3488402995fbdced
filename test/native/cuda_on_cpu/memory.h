// Each access of a kernel: whether it may be, and what it leaves for later ones to be held to.
#pragma once

#include <cstddef>
#include <cstdint>

#include "state.h"

namespace cuda_on_cpu {

enum class Access { kRead, kWrite, kAtomic };

// `code`: where in the kernel, as offset_of() tells. Stops the launch where the access is a fault; else remembers it.
void touch(Thread& thread, const void* address, size_t bytes, Access access, uint32_t code);

// The target of an asynchronous copy: written now, and nobody's until it has arrived.
void begin_copy(Thread& thread, const void* address, size_t bytes, uint32_t code);
void end_copy(Thread& thread, const void* address, size_t bytes, uint32_t code);

}  // namespace cuda_on_cpu

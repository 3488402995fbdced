// Regions of memory, and for each place in them who touched it last.
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

// Shared memory of the launch that begins; all of it is uninitialised in each block.
void enter_shared(const void* dynamic, size_t bytes);
void leave_shared();

}  // namespace cuda_on_cpu

// Whether work on one stream that touches what another has written, or writes what another reads, comes behind it by an event that
// was waited for, or by a wait of the host. As vector clocks have it: each stream knows up to where the others have come.
#pragma once

#include <c10/core/Stream.h>

#include <cstdint>
#include <map>

namespace pretend_cuda {

// By stream, how much of its work is known to be done.
using Clock = std::map<int64_t, int64_t>;

enum class Use { kRead, kWrite };
// Of an allocation, by any address within it, on the current stream of its device. The host's memory and freed one stay without.
void note_use(const void* p, Use use);
// `begin`: of an allocation. Made, it is the current stream's; freed, all other streams must be done with it, as CUDA's allocator
// gives it to that stream again.
void note_allocated(const void* begin, int device);
void note_freed(const void* begin);

// What is done when this stream comes here.
Clock clock_of(const c10::Stream& stream);
void stream_waits(const c10::Stream& stream, const Clock& clock);
void host_waits(const Clock& clock);
void host_waits_for_all();
bool host_knows(const Clock& clock);

}  // namespace pretend_cuda

// Memory that kernels of the CPU work in, of large pages on a cache line: kept by the thread that asks, since fresh pages would cost
// as much as the work. What was there is lost when more is asked for.
#pragma once

#include <cstdint>

namespace facellm {

// Of a call, filled and read by all threads at work for it: one at a time for each thread that calls.
void* scratch(int64_t bytes);
// Of one thread within a call.
void* work_scratch(int64_t bytes);

}  // namespace facellm

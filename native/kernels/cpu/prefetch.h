// How far ahead of itself a single pass over weights fetches them. Memory takes as long to answer as a core computes some KB in, the more the faster both
// are: Zen 5 reads int4 a sixth faster from afar, Zen 3 wants it near, where the first cache has room (docs/decisions/2026-11-29-decode-step.md). Torch-free.
#pragma once

#include <cstdint>

namespace facellm {

constexpr int64_t kPrefetchNear = 1024, kPrefetchFar = 4096;

}  // namespace facellm

// Seeds of independent streams. Torch-free.
#pragma once

#include <cstdint>

namespace facellm {

// A seed that follows from another and a number, by the mixing function of splitmix64 (Steele, Lea and Flood 2014).
inline uint64_t mixed_seed(uint64_t seed, uint64_t number) {
  uint64_t z = seed + (number + 1) * 0x9e3779b97f4a7c15ULL;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

}  // namespace facellm

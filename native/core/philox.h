// Philox4x32-10, random numbers by counter (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011):
// each key and counter has its own four numbers, whoever asks, and in whatever order. Torch-free.
#pragma once

#include <array>
#include <cstdint>

namespace facellm {

constexpr std::array<uint32_t, 4> philox(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = uint64_t{0xD2511F53} * counter[0], b = uint64_t{0xCD9E8D57} * counter[2];
    counter = {static_cast<uint32_t>(b >> 32) ^ counter[1] ^ key[0], static_cast<uint32_t>(b),
               static_cast<uint32_t>(a >> 32) ^ counter[3] ^ key[1], static_cast<uint32_t>(a)};
    key[0] += 0x9E3779B9;
    key[1] += 0xBB67AE85;
  }
  return counter;
}

// Uniform in [0, 1), 53 bits: the draw of one token. Of two equal numbers all three arguments are equal, but by chance.
constexpr double uniform_draw(uint64_t seed, uint32_t choice, uint64_t position) {
  const auto low = [](uint64_t x) { return static_cast<uint32_t>(x); };
  const auto high = [](uint64_t x) { return static_cast<uint32_t>(x >> 32); };
  const auto bits = philox({low(position), high(position), choice, 0}, {low(seed), high(seed)});
  return static_cast<double>(((uint64_t{bits[0]} << 32) | bits[1]) >> 11) * 0x1.0p-53;
}

}  // namespace facellm

// Dropout whose mask is a function of a key and an element's number: a counter-based generator (Salmon et al. 2011), here
// splitmix64 (core/mixed_seed.h). Every device computes the same bits where it needs them, in any order; nothing is drawn
// on the host, sent or kept. docs/decisions/2026-11-27-dropout-masks.md
#pragma once

#include <ATen/ATen.h>

#include <cstdint>

namespace facellm {

// Which of the elements 0 ... count - 1 fall, bool [count]: element i where the upper 24 bits of mixed_seed(key, i), read as
// a signed number, are not below (1 - probability) of their range.
at::Tensor dropped(int64_t count, double probability, uint64_t key, at::Device device);
// The same composed of operations that every device has; dropped() uses it beyond the CPU.
at::Tensor dropped_composed(int64_t count, double probability, uint64_t key, at::Device device);

// x with those elements zero and the others divided by 1 - probability, rounded once; the gradient likewise.
// 0 < probability < 1.
at::Tensor drop(const at::Tensor& x, double probability, uint64_t key);

}  // namespace facellm

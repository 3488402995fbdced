// How a launch runs its blocks.
#pragma once

#include <algorithm>
#include <random>
#include <vector>

#include "cuda_on_cpu.h"

namespace cuda_on_cpu {

constexpr size_t kMostThreads = 1024;

// Runs the block that `running` names, to its end or to a finding.
void run_block();

// Of the launch: seeded when it begins.
std::mt19937_64& random_numbers();

// Blocks, or threads that can go on, in the order in which they are to run.
template <typename T>
void arrange(std::vector<T>& order) {
  if (settings().order == Order::kShuffled) std::shuffle(order.begin(), order.end(), random_numbers());
  if (settings().order == Order::kBackward) std::reverse(order.begin(), order.end());
}

}  // namespace cuda_on_cpu

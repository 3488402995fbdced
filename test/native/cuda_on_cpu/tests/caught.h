// Runs something that starts kernels, and hands over what the emulation found.
#pragma once

#include <gtest/gtest.h>

#include <optional>

#include "cuda_on_cpu.h"

namespace cuda_on_cpu {

template <typename Work>
std::optional<Report> caught(Work work) {
  try {
    work();
  } catch (const KernelFault& fault) {
    return fault.report;
  }
  return std::nullopt;
}

// `work` in each order of threads and blocks, shuffled ones with several seeds.
template <typename Work>
void in_all_orders(Work work) {
  const Settings before = settings();
  for (const Order order : {Order::kForward, Order::kBackward}) {
    settings().order = order;
    work();
  }
  settings().order = Order::kShuffled;
  for (const uint64_t seed : {1, 2, 3}) {
    settings().seed = seed;
    work();
  }
  settings() = before;
}

}  // namespace cuda_on_cpu

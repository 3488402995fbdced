#pragma once

#include <c10/core/CachingDeviceAllocator.h>

#include "pretend_cuda.h"

namespace c10::cuda::CUDACachingAllocator {

// Of the sum of live allocations; a GPU's allocator reserves more.
inline CachingDeviceAllocator::DeviceStats getDeviceStats(DeviceIndex device) {
  CachingDeviceAllocator::DeviceStats stats;
  stats.reserved_bytes[static_cast<size_t>(CachingAllocator::StatType::AGGREGATE)].peak = pretend_cuda::peak_bytes(device);
  return stats;
}
inline void resetPeakStats(DeviceIndex device) { pretend_cuda::reset_peak_bytes(device); }

}  // namespace c10::cuda::CUDACachingAllocator

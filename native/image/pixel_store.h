// Pixels of a caller's, in memory that earlier pictures have left. Fresh memory of a large picture takes the system several times as
// long as copying does, and the thread that copies is the one that serves. Torch-free; from any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace facellm {

// Memory that is kept for later pictures, at most.
constexpr size_t kMostIdlePixelBytes = size_t{64} << 20;

std::shared_ptr<const std::vector<uint8_t>> copy_pixels(std::span<const uint8_t> rgb);

// What is kept of it now.
size_t idle_pixel_bytes();

}  // namespace facellm

// What BlazeFace and the letterbox compute on many numbers at once, for the processor at hand. Torch-free.
#pragma once

#include <cstdint>

#include "core/cpu_level.h"

namespace facellm {

// Channels are filled up with zeros to a multiple of this.
constexpr int64_t kChannelLanes = 16;

constexpr int64_t padded_channels(int64_t channels) { return (channels + kChannelLanes - 1) / kChannelLanes * kChannelLanes; }

// A row of pixels, channels innermost: out[p] = bias + sum over segments s and k of x[p][s][k] weight[s][k], then `skip[p]`
// is added, then what is below 0 becomes 0.
struct RowProduct {
  const float* x;
  int64_t pixel_stride;    // between pixels of x
  int64_t segments, segment_stride, inner;  // of a pixel: so many runs of `inner` numbers
  const float* weight;     // [segments, inner, channels]
  const float* bias;       // [channels]
  const float* skip;       // [pixels, skip_channels] or null
  int64_t skip_channels;   // a multiple of kChannelLanes; the others have none
  bool is_rectified;
  float* out;              // [pixels, channels]
  int64_t pixels;
  int64_t channels;        // a multiple of kChannelLanes
};

// A row of a depthwise convolution of 3 x 3: out[p][c] = bias[c] + sum over j, i of x[j][stride p + i][c] weight[j][i][c].
struct RowDepthwise {
  const float* x;          // its upper left pixel
  int64_t row_stride, stride;  // numbers between rows of x; pixels between neighbours
  const float* weight;     // [3, 3, channels]
  const float* bias;       // [channels]
  float* out;              // [pixels, channels]
  int64_t pixels;
  int64_t channels;        // a multiple of kChannelLanes
};

struct LaneKernels {
  void (*multiply)(const RowProduct&);
  void (*convolve)(const RowDepthwise&);
  // sums[i] += weight * values[i]
  void (*accumulate)(float* sums, const uint8_t* values, float weight, int64_t count);
};

// Of sums in any order: the last bits differ between levels.
const LaneKernels& lane_kernels_for(CpuLevel level);
// For this processor, under FACELLM_CPU_ISA.
const LaneKernels& lane_kernels();

}  // namespace facellm

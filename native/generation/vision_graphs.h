// The tower's pass over a few tiles as a graph of a GPU: so few keep the card less busy than launching one kernel after the
// other keeps the host. More tiles are worth their launches.
#pragma once

#include <ATen/ATen.h>

#include <map>
#include <memory>

#include "core/device_graph.h"
#include "kernels/patchify/channel_scale.h"
#include "model/internvl.h"

namespace facellm {

class VisionGraphs {
 public:
  static constexpr int64_t kMostTiles = 6;

  VisionGraphs(const InternVl& model, const ChannelScale& scale) : model_(model), scale_(scale) {}

  // On a GPU; the tower without adapters, on a stream that is not the default one.
  bool takes(int64_t tiles) const { return tiles <= kMostTiles && model_.options().device().is_cuda(); }
  // tiles uint8 [N, 3, S, S] on the CPU -> vectors [N, tokens, hidden] of the model's dtype, in memory of their own. The
  // first call of each N goes without a graph, the second records it. The same bits either way.
  at::Tensor encode(const at::Tensor& tiles);

 private:
  struct Recorded {
    at::Tensor tiles, vectors;  // at addresses that the graph knows
    std::unique_ptr<DeviceGraph> graph;
  };
  at::Tensor compute(const at::Tensor& tiles) const;

  const InternVl& model_;
  ChannelScale scale_;
  std::map<int64_t, Recorded> recorded_;  // by number of tiles
};

}  // namespace facellm

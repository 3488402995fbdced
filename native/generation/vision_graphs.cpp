#include "generation/vision_graphs.h"

namespace facellm {

at::Tensor VisionGraphs::encode(const at::Tensor& tiles) {
  const int64_t count = tiles.size(0);
  const auto known = recorded_.find(count);
  if (known == recorded_.end()) {
    // Once without: libraries set themselves up at their first call, which no recording bears.
    const auto vectors = compute(tiles.to(model_.options().device()));
    recorded_.emplace(count, Recorded{});
    return vectors;
  }
  auto& [input, vectors, graph] = known->second;
  if (!input.defined()) input = at::empty_like(tiles, tiles.options().device(model_.options().device()));
  input.copy_(tiles);
  if (!graph) {
    const DeviceGraph* sharing = nullptr;
    for (const auto& [_, other] : recorded_) sharing = other.graph ? other.graph.get() : sharing;
    graph = std::make_unique<DeviceGraph>([&] { vectors = compute(input); }, sharing);
  }
  graph->replay();
  return vectors.clone();
}

at::Tensor VisionGraphs::compute(const at::Tensor& tiles) const {
  static const Cancellation never;
  return model_.encode_tiles(tiles, scale_, never, {});
}

}  // namespace facellm

#include "generation/vision_graphs.h"

#include <c10/core/impl/VirtualGuardImpl.h>

#include <exception>

namespace facellm {

void VisionGraphs::begin(const at::Tensor& tiles) {
  const auto device = model_.options().device();
  const c10::impl::VirtualGuardImpl guard(device.type());
  const auto& config = model_.config();
  const auto make_event = [&] { return c10::Event(device.type(), c10::EventFlag::BACKEND_DEFAULT); };
  if (!stream_) stream_.emplace(device);
  UnderWay next{at::empty_like(tiles, tiles.options().pinned_memory(true)).copy_(tiles),
                at::empty({tiles.size(0), config.image_seq_length, config.text.hidden_size}, model_.options()), make_event(), make_event()};
  // What had the vectors' memory before is done with it, and so is who changed the weights.
  c10::Event ready(device.type());
  ready.record(guard.getStream(device));
  try {
    const auto scope = stream_->enter();
    const auto own = guard.getStream(device);
    ready.block(own);
    next.begin.record(own);
    next.vectors.copy_(encode(next.tiles));
    next.end.record(own);
  } catch (...) {
    stream_->wait();  // what was begun is nobody's, and works in memory that others take
    throw;
  }
  under_way_ = std::move(next);
}

VisionGraphs::Encoded VisionGraphs::take() {
  auto done = std::move(*under_way_);
  under_way_.reset();
  done.end.synchronize();
  return {done.vectors, done.begin.elapsedTime(done.end)};
}

void VisionGraphs::drop() noexcept {
  wait();
  under_way_.reset();
}

at::Tensor VisionGraphs::encode(const at::Tensor& tiles) {
  const int64_t count = tiles.size(0);
  const auto known = recorded_.find(count);
  if (known == recorded_.end()) {
    // Once without: libraries set themselves up at their first call, which no recording bears.
    const auto vectors = compute(tiles.to(model_.options().device(), /*non_blocking=*/true));
    recorded_.emplace(count, Recorded{});
    return vectors;
  }
  auto& own = known->second;
  if (!own.graph && !own.goes_without) record(own, tiles);
  if (own.goes_without) return compute(tiles.to(model_.options().device(), /*non_blocking=*/true));
  own.tiles.copy_(tiles, /*non_blocking=*/true);
  own.graph->replay();
  return own.vectors;
}

void VisionGraphs::record(Recorded& own, const at::Tensor& tiles) {
  const DeviceGraph* sharing = nullptr;
  for (const auto& [_, other] : recorded_) sharing = other.graph ? other.graph.get() : sharing;
  try {
    own.tiles = at::empty_like(tiles, tiles.options().pinned_memory(false).device(model_.options().device()));
    own.graph = std::make_unique<DeviceGraph>([&] { own.vectors = compute(own.tiles); }, sharing);
  } catch (const std::exception&) {
    own = {};
    own.goes_without = true;  // for want of memory; where more is lost, the plain pass says so
  }
}

at::Tensor VisionGraphs::compute(const at::Tensor& tiles) const {
  static const Cancellation never;
  return model_.encode_tiles(tiles, scale_, never, {});
}

}  // namespace facellm

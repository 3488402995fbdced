#include "generation/vision_graphs.h"

#include <c10/core/impl/VirtualGuardImpl.h>

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
  const auto device = model_.options().device();
  const int64_t count = tiles.size(0);
  auto* own = graphs_.find(count);
  if (own == nullptr && graphs_.is_due(count)) {
    own = graphs_.record(
        count, [&] { return Io{at::empty_like(tiles, tiles.options().pinned_memory(false).device(device)), {}}; },
        [&](Io& io) { io.vectors = compute(io.tiles); });
  }
  if (own == nullptr) return compute(tiles.to(device, /*non_blocking=*/true));
  own->io.tiles.copy_(tiles, /*non_blocking=*/true);
  own->graph->replay();
  return own->io.vectors;
}

at::Tensor VisionGraphs::compute(const at::Tensor& tiles) const {
  static const Cancellation never;
  return model_.encode_tiles(tiles, scale_, never, {});
}

}  // namespace facellm

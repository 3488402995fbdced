// The tower's pass over a few tiles on a GPU: a graph, since so few keep the card less busy than launching one kernel after the
// other keeps the host, on a stream of its own, so that answers go on meanwhile. More tiles are worth their launches.
#pragma once

#include <ATen/ATen.h>
#include <c10/core/Event.h>

#include <optional>

#include "core/graph_cache.h"
#include "core/device_stream.h"
#include "kernels/patchify/channel_scale.h"
#include "model/internvl.h"

namespace facellm {

class VisionGraphs {
 public:
  static constexpr int64_t kMostTiles = 6;

  VisionGraphs(const InternVl& model, const ChannelScale& scale) : model_(model), scale_(scale) {}
  ~VisionGraphs() { drop(); }

  // On a GPU; the tower without adapters.
  bool takes(int64_t tiles) const { return tiles <= kMostTiles && model_.options().device().is_cuda(); }

  // Starts the pass over tiles uint8 [N, 3, S, S] on the CPU. One at a time. The first pass of each N goes without a graph, the
  // second records it: the same bits either way.
  void begin(const at::Tensor& tiles);
  bool is_under_way() const { return under_way_.has_value(); }
  // Whether take() would not wait.
  bool is_done() const { return under_way_->end.query(); }
  struct Encoded {
    at::Tensor vectors;  // [N, tokens, hidden] of the model's dtype, memory of the caller's stream
    double milliseconds;
  };
  Encoded take();
  // Until what is under way is done, which stays to be taken.
  void wait() const {
    if (under_way_) stream_->wait();
  }
  // What is under way is waited for, a pass at most, and forgotten.
  void drop() noexcept;

 private:
  struct Io {
    at::Tensor tiles, vectors;
  };
  struct UnderWay {
    at::Tensor tiles, vectors;
    c10::Event begin, end;
  };
  at::Tensor encode(const at::Tensor& tiles);
  at::Tensor compute(const at::Tensor& tiles) const;

  const InternVl& model_;
  ChannelScale scale_;
  std::optional<DeviceStream> stream_;  // from the first pass on: a trace has none
  GraphCache<int64_t, Io> graphs_{/*runs_before=*/1, static_cast<size_t>(kMostTiles)};  // by number of tiles
  std::optional<UnderWay> under_way_;
};

}  // namespace facellm

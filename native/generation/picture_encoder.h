// Pictures into vectors for the language model: each once, whoever asks and however many, a bounded number of tiles
// on the device at a time.
#pragma once

#include <ATen/ATen.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/cancellation.h"
#include "core/stopwatch.h"
#include "core/trace.h"
#include "generation/active_request.h"
#include "generation/vision_graphs.h"
#include "model/image_feature_cache.h"
#include "model/internvl.h"
#include "model/load_request.h"

namespace facellm {

// Tiles that a picture is cut into.
int64_t tiles_of(const Picture& picture);

// Of one call: tiles, and the parts in which the tower computes them.
struct EncodeLimits {
  int64_t tiles;
  int64_t tower_shares = 1;
  // Whether a pass on a stream of its own is waited for; else a later call takes what it gives.
  bool waits = true;
};

class PictureEncoder {
 public:
  PictureEncoder(const InternVl& model, const Preprocessing& preprocessing, int64_t cache_bytes);

  // Vectors that are there already, or an undefined tensor.
  at::Tensor find(const std::string& identity) { return cache_.find(identity); }
  // Works on `wanted`, all of one stack of vision adapters, in this order once what is in the tower is done, and sets the
  // vectors of those that are complete. What nobody wants any more is dropped. Laps of preprocess and
  // vision of `timings`; traces tiles_u8 and pixel_values of the tiles at hand. `is_base`: the stack is empty.
  void encode(const std::vector<Picture*>& wanted, EncodeLimits limits, bool is_base, Timings& timings, Stopwatch& watch,
              const Cancellation& cancellation, const Trace& trace);
  // For a pass that goes on by itself, on a stream of its own.
  void wait_for_beside() const { graphs_.wait(); }
  // Nobody wants a picture: what was begun goes, and its memory.
  void forget() {
    drop_pass();
    under_way_.clear();
  }
  void clear() { cache_.clear(); }
  int64_t cached() const { return cache_.size(); }
  int64_t tiles_encoded() const { return tiles_encoded_; }
  // Of passes that were dropped, too.
  int64_t tiles_begun() const { return tiles_begun_; }

 private:
  struct Part {
    at::Tensor tiles;  // uint8 [N, 3, S, S] on the CPU
    int64_t done = 0;
    std::vector<at::Tensor> vectors;
  };
  // Tiles that are in the tower together, of which pictures.
  struct Pass {
    struct Share {
      std::string identity;
      int64_t tiles;
    };
    std::vector<Share> shares;
    at::Tensor tiles;  // uint8 [N, 3, S, S] on the CPU
    TowerPass tower;   // begun when its hidden states are there
  };
  Part& part_of(const Picture& picture);
  void drop_pass();
  Pass next_pass(const std::vector<Picture*>& wanted, int64_t most);
  // Vectors [N, tokens, hidden] of pass_, or an undefined tensor while the tower has more to compute.
  at::Tensor advance(const EncodeLimits& limits, bool is_base, Timings& timings, Stopwatch& watch,
                     const Cancellation& cancellation, const Trace& trace);
  void finish(const std::vector<Picture*>& wanted);

  const InternVl& model_;
  ChannelScale scale_;
  VisionGraphs graphs_;
  ImageFeatureCache cache_;
  std::map<std::string, Part> under_way_;
  std::optional<Pass> pass_;
  int64_t tiles_encoded_ = 0;
  int64_t tiles_begun_ = 0;
};

}  // namespace facellm

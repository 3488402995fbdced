#include "generation/picture_encoder.h"

#include <algorithm>
#include <set>

#include "image/tile.h"

namespace facellm {

int64_t tiles_of(const Picture& picture) {
  const auto& image = picture.input;
  return int64_t{image.columns} * image.rows + (image.has_thumbnail ? 1 : 0);
}

PictureEncoder::PictureEncoder(const InternVl& model, const Preprocessing& preprocessing, int64_t cache_bytes)
    : model_(model),
      scale_(channel_scale(preprocessing.mean, preprocessing.std, preprocessing.rescale_factor)),
      graphs_(model, scale_),
      cache_(cache_bytes) {}

PictureEncoder::Part& PictureEncoder::part_of(const Picture& picture) {
  const auto [entry, is_new] = under_way_.try_emplace(picture.identity);
  if (is_new) {
    const auto& image = picture.input;
    entry->second.tiles = tile_image(image.rgb->data(), image.width, image.height, model_.config().vision.image_size,
                                     TileGrid{image.columns, image.rows}, image.has_thumbnail);
  }
  return entry->second;
}

void PictureEncoder::encode(const std::vector<Picture*>& wanted, EncodeLimits limits, bool is_base, Timings& timings,
                            Stopwatch& watch, const Cancellation& cancellation, const Trace& trace) {
  std::set<std::string> identities;
  for (const auto* picture : wanted) identities.insert(picture->identity);
  std::erase_if(under_way_, [&](const auto& entry) { return !identities.contains(entry.first); });
  const auto is_dropped = [&](const Pass::Share& share) { return !identities.contains(share.identity); };
  if (pass_ && std::ranges::any_of(pass_->shares, is_dropped)) drop_pass();

  if (!pass_) {
    Stopwatch host(at::kCPU);
    Pass pass;
    {
      const auto lap = host.lap(timings.preprocess);
      pass = next_pass(wanted, limits.tiles);
    }
    host.read();
    if (pass.shares.empty()) return;
    if (trace) trace("tiles_u8", pass.tiles);
    tiles_begun_ += pass.tiles.size(0);
    pass_ = std::move(pass);
  }
  const auto vectors = advance(limits, is_base, timings, watch, cancellation, trace);
  if (!vectors.defined()) return;
  tiles_encoded_ += vectors.size(0);
  int64_t begin = 0;
  for (const auto& [identity, count] : pass_->shares) {
    auto& part = under_way_.at(identity);
    part.vectors.push_back(vectors.narrow(0, begin, count).flatten(0, 1));
    part.done += count;
    begin += count;
  }
  pass_.reset();
  finish(wanted);
}

void PictureEncoder::drop_pass() {
  graphs_.drop();
  pass_.reset();
}

PictureEncoder::Pass PictureEncoder::next_pass(const std::vector<Picture*>& wanted, int64_t most) {
  Pass pass;
  std::vector<at::Tensor> tiles;
  std::set<std::string> seen;
  for (const auto* picture : wanted) {
    if (most == 0) break;
    if (!seen.insert(picture->identity).second) continue;
    const auto& part = part_of(*picture);
    const int64_t count = std::min(most, part.tiles.size(0) - part.done);
    pass.shares.push_back({picture->identity, count});
    tiles.push_back(part.tiles.narrow(0, part.done, count));
    most -= count;
  }
  if (!tiles.empty()) pass.tiles = tiles.size() == 1 ? tiles[0] : at::cat(tiles);
  return pass;
}

at::Tensor PictureEncoder::advance(const EncodeLimits& limits, bool is_base, Timings& timings, Stopwatch& watch,
                                   const Cancellation& cancellation, const Trace& trace) {
  auto& [shares, tiles, tower] = *pass_;
  if (!graphs_.is_under_way() && !tower.hidden_states.defined() && is_base && !trace && graphs_.takes(tiles.size(0))) graphs_.begin(tiles);
  if (graphs_.is_under_way()) {
    if (!limits.waits && !graphs_.is_done()) return {};
    const auto [vectors, milliseconds] = graphs_.take();
    timings.vision += milliseconds;
    return vectors;
  }
  const auto lap = watch.lap(timings.vision);
  if (!tower.hidden_states.defined()) tower = model_.begin_tiles(tiles, scale_, trace);
  return model_.advance_tiles(tower, limits.tower_shares, cancellation, trace);
}

void PictureEncoder::finish(const std::vector<Picture*>& wanted) {
  for (auto entry = under_way_.begin(); entry != under_way_.end();) {
    auto& [identity, part] = *entry;
    if (part.done < part.tiles.size(0)) {
      ++entry;
      continue;
    }
    // Memory of its own: a view would keep the other pictures' vectors alive in the cache.
    const auto features = part.vectors.size() == 1 ? part.vectors[0].clone() : at::cat(part.vectors);
    cache_.insert(identity, features);
    for (auto* picture : wanted) {
      if (picture->identity != identity) continue;
      picture->features = features;
      picture->input.rgb = nullptr;
    }
    entry = under_way_.erase(entry);
  }
}

}  // namespace facellm

#include "generation/picture_encoder.h"

#include <algorithm>
#include <set>

#include "image/tile.h"

namespace facellm {

PictureEncoder::PictureEncoder(const InternVl& model, const Preprocessing& preprocessing, int64_t cache_bytes)
    : model_(model),
      scale_(channel_scale(preprocessing.mean, preprocessing.std, preprocessing.rescale_factor, model.options().device())),
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

void PictureEncoder::encode(const std::vector<Picture*>& wanted, int64_t most, bool is_base, Timings& timings,
                            Stopwatch& watch, const Cancellation& cancellation, const Trace& trace) {
  std::set<std::string> identities;
  for (const auto* picture : wanted) identities.insert(picture->identity);
  std::erase_if(under_way_, [&](const auto& entry) { return !identities.contains(entry.first); });

  struct Batch {
    Part* part;
    int64_t count;
  };
  std::vector<Batch> batches;
  std::vector<at::Tensor> tiles;
  std::set<std::string> seen;
  {
    const auto lap = watch.lap(timings.preprocess);
    for (const auto* picture : wanted) {
      if (most == 0) break;
      if (!seen.insert(picture->identity).second) continue;
      auto& part = part_of(*picture);
      const int64_t count = std::min(most, part.tiles.size(0) - part.done);
      batches.push_back({&part, count});
      tiles.push_back(part.tiles.narrow(0, part.done, count));
      most -= count;
    }
  }
  if (tiles.empty()) return;
  const auto bytes = tiles.size() == 1 ? tiles[0] : at::cat(tiles);
  if (trace) trace("tiles_u8", bytes);
  const auto vectors = encode_tiles(bytes, is_base, timings, watch, cancellation, trace);
  tiles_encoded_ += bytes.size(0);
  int64_t begin = 0;
  for (const auto& [part, count] : batches) {
    part->vectors.push_back(vectors.narrow(0, begin, count).flatten(0, 1));
    part->done += count;
    begin += count;
  }
  finish(wanted);
}

at::Tensor PictureEncoder::encode_tiles(const at::Tensor& tiles, bool is_base, Timings& timings, Stopwatch& watch,
                                        const Cancellation& cancellation, const Trace& trace) {
  if (is_base && !trace && graphs_.takes(tiles.size(0))) {
    const auto lap = watch.lap(timings.vision);
    return graphs_.encode(tiles);
  }
  at::Tensor values;
  {
    // Bytes travel to the device, floats are made there.
    const auto lap = watch.lap(timings.preprocess);
    values = normalise(tiles.to(model_.options().device()), scale_);
  }
  if (trace) trace("pixel_values", values);
  const auto lap = watch.lap(timings.vision);
  return model_.encode_tiles(values, cancellation, trace);
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

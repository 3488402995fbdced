#include "generation/prefill.h"

#include <algorithm>

#include "core/error.h"
#include "image/normalise.h"
#include "image/tile.h"

namespace facellm {
namespace {

// Identity of an image's vectors: the pixels, how they are cut, and the adapters that change vision. An
// adapter of the language model alone shares them with the base.
std::string image_identity(const Session& session, const ImageInput& image) {
  std::string identity = image.key + "/" + std::to_string(image.columns) + "x" +
                         std::to_string(image.rows) + (image.has_thumbnail ? "+1" : "");
  for (const int64_t id : session.adapters.image_ids_of(session.stack)) identity += "/" + std::to_string(id);
  return identity;
}

// uint8 tiles [N, 3, S, S] of all pictures, one behind another, on the CPU.
at::Tensor cut_tiles(const InternVlConfig& config, std::span<const ImageInput> images,
                     std::vector<int64_t>& tile_counts) {
  std::vector<at::Tensor> tiles;
  for (const auto& image : images) {
    tiles.push_back(tile_image(image.rgb->data(), image.width, image.height,
                               config.vision.image_size, TileGrid{image.columns, image.rows},
                               image.has_thumbnail));
    tile_counts.push_back(tiles.back().size(0));
  }
  return tiles.size() == 1 ? tiles[0] : at::cat(tiles);
}

// -> [N, tokens, D]. Bytes travel to the device, floats are made there; both for the tiles at hand alone.
at::Tensor encode(Session& session, const at::Tensor& tiles, Timings& timings, Stopwatch& watch,
                  const Cancellation& cancellation, const Trace& trace) {
  const auto& p = session.preprocessing;
  std::vector<at::Tensor> parts;
  for (int64_t begin = 0; begin < tiles.size(0); begin += kTilesAtOnce) {
    const int64_t count = std::min(kTilesAtOnce, tiles.size(0) - begin);
    at::Tensor values;
    {
      const auto lap = watch.lap(timings.preprocess);
      values = normalise(tiles.narrow(0, begin, count).to(session.model.options().device()), p.mean,
                         p.std, p.rescale_factor);
    }
    if (trace) trace("pixel_values", values);
    const auto lap = watch.lap(timings.vision);
    parts.push_back(session.model.encode_tiles(values, cancellation, trace));
    session.tiles_encoded += count;
  }
  return parts.size() == 1 ? parts[0] : at::cat(parts);
}

TokenIdentities identities(Session& session, const Prompt& prompt,
                           const std::vector<at::Tensor>& features) {
  constexpr int64_t kPlaces = int64_t{1} << 24;  // image tokens a picture, far above 12 tiles
  constexpr size_t kMostNumbers = 100'000;       // bounds what a long-lived server remembers
  if (session.image_numbers.size() > kMostNumbers) {
    session.image_numbers.clear();
    session.prefixes.clear();
  }
  TokenIdentities tokens(prompt.ids.begin(), prompt.ids.end());
  size_t image = 0;
  int64_t place = 0, number = 0;
  for (auto& token : tokens) {
    if (token != session.model.config().image_token_id) continue;
    if (place == 0) {
      const auto next = static_cast<int64_t>(session.image_numbers.size());
      number = session.image_numbers.try_emplace(image_identity(session, prompt.images[image]), next)
                   .first->second;
    }
    token = -1 - number * kPlaces - place;
    if (++place == features[image].size(0)) {
      place = 0;
      ++image;
    }
  }
  return tokens;
}

int64_t image_tokens(const InternVlConfig& config, const ImageInput& image) {
  const int64_t tiles = int64_t{image.columns} * image.rows + (image.has_thumbnail ? 1 : 0);
  return tiles * config.image_seq_length;
}

}  // namespace

std::vector<at::Tensor> encode_images(Session& session, std::span<const ImageInput> images,
                                      Timings& timings, Stopwatch& watch,
                                      const Cancellation& cancellation, const Trace& trace) {
  std::vector<at::Tensor> features(images.size());
  std::vector<ImageInput> fresh;
  std::vector<std::vector<size_t>> places;  // of each fresh picture; it may occur twice
  std::unordered_map<std::string, size_t> seen;
  for (size_t i = 0; i < images.size(); ++i) {
    const auto identity = image_identity(session, images[i]);
    if (!trace) features[i] = session.image_features.find(identity);
    if (features[i].defined()) continue;
    const auto [entry, is_new] = seen.try_emplace(identity, fresh.size());
    if (is_new) {
      fresh.push_back(images[i]);
      places.emplace_back();
    }
    places[entry->second].push_back(i);
  }
  if (fresh.empty()) return features;
  std::vector<int64_t> counts;
  at::Tensor tiles;
  {
    const auto lap = watch.lap(timings.preprocess);
    tiles = cut_tiles(session.model.config(), fresh, counts);
  }
  if (trace) trace("tiles_u8", tiles);
  const auto encoded = encode(session, tiles, timings, watch, cancellation, trace);
  int64_t begin = 0;
  for (size_t i = 0; i < fresh.size(); ++i) {
    auto own = encoded.narrow(0, begin, counts[i]).flatten(0, 1);
    // A view would keep the other pictures' vectors alive in the cache.
    if (fresh.size() > 1) own = own.clone();
    session.image_features.insert(image_identity(session, fresh[i]), own);
    for (const size_t place : places[i]) features[place] = own;
    begin += counts[i];
  }
  return features;
}

void check_prompt(const InternVlConfig& config, const Prompt& prompt) {
  const auto length = static_cast<int64_t>(prompt.ids.size());
  if (length == 0) throw Error(ErrorCode::kInvalidArgument, "prompt: expected at least one token");
  if (length >= config.text.max_position_embeddings) {
    throw Error(ErrorCode::kPromptTooLong,
                "the prompt has " + std::to_string(length) + " tokens, the model's limit is " +
                    std::to_string(config.text.max_position_embeddings) +
                    " for prompt and answer together; use fewer tiles, images or words");
  }
  int64_t placeholders = 0, expected = 0;
  for (const int32_t id : prompt.ids) {
    if (id < 0 || id >= config.text.vocab_size) {
      throw Error(ErrorCode::kInvalidArgument,
                  "prompt: token id " + std::to_string(id) + " is outside the vocabulary of " +
                      std::to_string(config.text.vocab_size));
    }
    placeholders += id == config.image_token_id;
  }
  for (const auto& image : prompt.images) {
    const auto pixels = static_cast<size_t>(image.width * image.height * 3);
    if (image.rgb->size() != pixels) {
      throw Error(ErrorCode::kInvalidArgument,
                  "image " + image.key + ": expected " + std::to_string(pixels) +
                      " bytes of RGB, got " + std::to_string(image.rgb->size()));
    }
    expected += image_tokens(config, image);
  }
  if (placeholders != expected) {
    throw Error(ErrorCode::kImageTokenMismatch,
                "the prompt holds " + std::to_string(placeholders) +
                    " image placeholder(s), its " + std::to_string(prompt.images.size()) +
                    " image(s) give " + std::to_string(expected) +
                    " vector(s); expand each image to tiles x " +
                    std::to_string(config.image_seq_length) + " placeholders");
  }
}

PrefilledPrompt prefill(Session& session, const Prompt& prompt, const std::vector<at::Tensor>& features,
                        KvCache& cache, bool uses_prefix_cache, Timings& timings,
                        Stopwatch& watch, const Cancellation& cancellation, const Trace& trace) {
  const auto& language_model = session.model.language_model();
  const auto device = session.model.options().device();
  const auto lap = watch.lap(timings.prefill);
  const auto length = static_cast<int64_t>(prompt.ids.size());
  const auto ids = at::tensor(prompt.ids, at::kInt).to(at::kLong);
  auto embeddings = language_model.embed(ids.to(device));
  PrefilledPrompt result;
  if (!features.empty()) {
    const auto vectors = features.size() == 1 ? features[0] : at::cat(features);
    const auto is_image = (ids == session.model.config().image_token_id).nonzero().squeeze(-1);
    embeddings.index_copy_(0, is_image.to(device), vectors);
    result.image_tokens = vectors.size(0);
  }
  const auto tokens = identities(session, prompt, features);
  if (uses_prefix_cache) result.cached_tokens = session.prefixes.restore(tokens, session.adapters.ids_of(session.stack), cache);
  const int64_t start = result.cached_tokens, count = length - start;
  StepInput input;
  input.embeddings = embeddings.narrow(0, start, count).unsqueeze(0);
  input.positions = at::arange(start, length, at::TensorOptions(at::kLong).device(device)).unsqueeze(0);
  if (start > 0 && count > 1) {
    // Query i stands at start + i and sees every slot up to there.
    const auto slots = at::arange(length, input.positions.options());
    input.mask = (slots.unsqueeze(0) <= input.positions.squeeze(0).unsqueeze(1)).view({1, 1, count, length});
  }
  result.hidden_states = language_model.forward(input, cache, cancellation, trace);
  if (uses_prefix_cache) session.prefixes.store(tokens, session.adapters.ids_of(session.stack), cache, start);
  return result;
}

}  // namespace facellm

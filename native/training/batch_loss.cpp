#include "training/batch_loss.h"

#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "core/error.h"
#include "image/normalise.h"
#include "image/preprocess.h"
#include "training/activation_checkpoint.h"
#include "training/loss.h"

namespace facellm {
namespace {

constexpr int32_t kIgnored = -100;

// uint8 tiles [N, 3, S, S] of several pictures -> vectors [N * tokens, D].
at::Tensor encode(const InternVl& model, const at::Tensor& tiles, const LossSettings& settings,
                  const at::Tensor& anchor, const Cancellation& cancellation) {
  const auto& p = settings.preprocessing;
  std::vector<at::Tensor> parts;
  for (int64_t begin = 0; begin < tiles.size(0); begin += kTilesAtOnce) {
    const int64_t count = std::min(kTilesAtOnce, tiles.size(0) - begin);
    const auto values = normalise(tiles.narrow(0, begin, count).to(model.options().device()), p.mean,
                                  p.std, p.rescale_factor);
    // By reference: a backward pass runs within the call that made it.
    const auto run = [&model, &cancellation](const at::Tensor& x) {
      return model.encode_tiles(x, cancellation, {});
    };
    parts.push_back(settings.trains_image_side && settings.checkpoints_activations
                        ? checkpointed(run, values, anchor)
                        : run(values));
  }
  return (parts.size() == 1 ? parts[0] : at::cat(parts)).flatten(0, 1);
}

int64_t tile_count(const InternVlConfig& config, const TrainImage& image) {
  const int64_t size = config.vision.image_size;
  return static_cast<int64_t>(image.tiles->size()) / (3 * size * size);
}

at::Tensor tile_tensor(const InternVlConfig& config, const TrainImage& image) {
  const int64_t size = config.vision.image_size;
  return at::from_blob(const_cast<uint8_t*>(image.tiles->data()),
                       {tile_count(config, image), 3, size, size}, at::kByte);
}

// Vectors of all pictures in order, [image tokens, D], or undefined. Each picture is encoded once.
at::Tensor image_vectors(const InternVl& model, const MicroBatch& batch,
                         const LossSettings& settings, ImageFeatureCache& cache,
                         const at::Tensor& anchor, const Cancellation& cancellation) {
  const c10::AutoGradMode grad_mode(c10::GradMode::is_enabled() && settings.trains_image_side);
  std::unordered_map<std::string, at::Tensor> vectors;
  std::vector<const TrainImage*> fresh;
  std::vector<std::string> order;
  for (const auto& sample : batch.samples) {
    for (const auto& image : sample.images) {
      order.push_back(image.key);
      if (vectors.contains(image.key)) continue;
      auto known = settings.trains_image_side ? at::Tensor() : cache.find(image.key);
      if (!known.defined()) fresh.push_back(&image);
      vectors.emplace(image.key, std::move(known));
    }
  }
  if (order.empty()) return {};
  if (!fresh.empty()) {
    std::vector<at::Tensor> tiles;
    std::vector<int64_t> counts;
    for (const auto* image : fresh) {
      tiles.push_back(tile_tensor(model.config(), *image));
      counts.push_back(tiles.back().size(0) * model.config().image_seq_length);
    }
    const auto encoded = encode(model, at::cat(tiles), settings, anchor, cancellation);
    const auto split = encoded.split_with_sizes(counts);
    for (size_t i = 0; i < fresh.size(); ++i) {
      vectors[fresh[i]->key] = split[i];
      // A copy: a view would keep the other pictures' vectors alive.
      if (!settings.trains_image_side) cache.insert(fresh[i]->key, split[i].clone());
    }
  }
  std::vector<at::Tensor> parts;
  for (const auto& key : order) parts.push_back(vectors[key]);
  return at::cat(parts);
}

// Flat indices of the rows that predict a learnt token, those tokens, and what each counts.
struct Supervised {
  std::vector<int64_t> rows, labels;
  std::vector<size_t> samples;  // whose each row is
  std::vector<float> weights;
  bool is_weighted = false;
};

Supervised supervised_rows(const std::vector<TrainSample>& samples) {
  Supervised result;
  int64_t begin = 0;
  for (size_t i = 0; i < samples.size(); ++i) {
    const auto& sample = samples[i];
    result.is_weighted |= sample.weight != 1;
    for (size_t t = 1; t < sample.labels.size(); ++t) {
      if (sample.labels[t] == kIgnored) continue;
      result.rows.push_back(begin + static_cast<int64_t>(t) - 1);
      result.labels.push_back(sample.labels[t]);
      result.samples.push_back(i);
      result.weights.push_back(static_cast<float>(sample.weight));
    }
    begin += static_cast<int64_t>(sample.ids.size());
  }
  return result;
}

// What predicts a learnt token: normalised hidden states [R, D], the tokens [R], and whose they are.
struct SupervisedStates {
  at::Tensor hidden, labels;
  Supervised rows;
};

// What `finish` makes of them.
template <typename Finish>
auto with_states(const InternVl& model, const MicroBatch& batch, const LossSettings& settings,
                 ImageFeatureCache& features, const at::Tensor& anchor, MicroResult& result, Stopwatch& watch,
                 const Cancellation& cancellation, const Finish& finish) {
  check_samples(model.config(), batch.samples);
  const auto device = model.options().device();
  const auto& language_model = model.language_model();
  at::Tensor vectors;
  {
    const auto lap = watch.lap(result.vision_ms);
    vectors = image_vectors(model, batch, settings, features, anchor, cancellation);
  }
  const auto lap = watch.lap(result.forward_ms);
  std::vector<int64_t> ids;
  PackedSequences sequences;
  for (const auto& sample : batch.samples) {
    ids.insert(ids.end(), sample.ids.begin(), sample.ids.end());
    sequences.lengths.push_back(static_cast<int64_t>(sample.ids.size()));
  }
  const auto id_tensor = at::tensor(ids, at::kLong);
  sequences.embeddings = language_model.embed(id_tensor.to(device));
  if (vectors.defined()) {
    const auto places = (id_tensor == model.config().image_token_id).nonzero().squeeze(-1);
    sequences.embeddings = sequences.embeddings.index_copy(0, places.to(device), vectors);
    result.image_tokens = vectors.size(0);
  }
  const LayerRunner run_layer = [&](int64_t index, const LayerFunction& layer, const at::Tensor& hidden) {
    cancellation.check();
    // By reference: a backward pass runs within the call that made it.
    const LayerFunction run = settings.before_layer ? LayerFunction([&, index, layer](const at::Tensor& x) {
      // A checkpoint's first run keeps no graph; what does is its second, in the backward pass.
      settings.before_layer(index, c10::GradMode::is_enabled(), cancellation);
      return layer(x);
    })
                                                    : layer;
    return settings.checkpoints_activations ? checkpointed(run, hidden, anchor) : run(hidden);
  };
  const auto hidden_states = language_model.forward(sequences, run_layer);
  SupervisedStates states;
  states.rows = supervised_rows(batch.samples);
  const auto rows = at::tensor(states.rows.rows, at::kLong).to(device);
  states.labels = at::tensor(states.rows.labels, at::kLong).to(device);
  states.hidden = language_model.final_norm(hidden_states.index_select(0, rows));
  result.label_tokens = static_cast<int64_t>(states.rows.rows.size());
  result.tokens = static_cast<int64_t>(ids.size());
  return finish(states);
}

}  // namespace

void check_samples(const InternVlConfig& config, const std::vector<TrainSample>& samples) {
  std::vector<std::string> mismatches, problems;
  for (size_t i = 0; i < samples.size(); ++i) {
    const auto& sample = samples[i];
    const std::string where = "samples[" + std::to_string(i) + "]";
    if (sample.ids.empty() || sample.ids.size() != sample.labels.size()) {
      problems.push_back(where + ": expected as many labels as ids, and at least one");
      continue;
    }
    if (static_cast<int64_t>(sample.ids.size()) > config.text.max_position_embeddings) {
      problems.push_back(where + ": " + std::to_string(sample.ids.size()) + " tokens, the model takes " +
                         std::to_string(config.text.max_position_embeddings));
    }
    if (!(sample.weight > 0) || !std::isfinite(sample.weight)) {
      problems.push_back(where + ".weight: expected a finite number above 0");
    }
    const auto outside = [&](int32_t id) { return id < 0 || id >= config.text.vocab_size; };
    if (std::any_of(sample.ids.begin(), sample.ids.end(), outside)) {
      problems.push_back(where + ".ids: an id is outside the vocabulary");
    }
    if (std::any_of(sample.labels.begin(), sample.labels.end(),
                    [&](int32_t id) { return id != kIgnored && outside(id); })) {
      problems.push_back(where + ".labels: a label is outside the vocabulary");
    }
    const int64_t tile_bytes = 3 * config.vision.image_size * config.vision.image_size;
    int64_t expected = 0;
    for (const auto& image : sample.images) {
      const auto bytes = static_cast<int64_t>(image.tiles->size());
      if (bytes == 0 || bytes % tile_bytes != 0) {
        problems.push_back(where + ": image " + image.key + " is not a whole number of tiles");
      }
      expected += tile_count(config, image) * config.image_seq_length;
    }
    const int64_t places = std::count(sample.ids.begin(), sample.ids.end(),
                                      static_cast<int32_t>(config.image_token_id));
    if (places != expected) {
      mismatches.push_back(where + ": " + std::to_string(places) + " image placeholder(s) for " +
                           std::to_string(expected) + " vector(s)");
    }
  }
  if (!problems.empty()) {
    throw Error(ErrorCode::kInvalidArgument, "the micro-batch is malformed", std::move(problems));
  }
  if (!mismatches.empty()) {
    throw Error(ErrorCode::kImageTokenMismatch,
                "image placeholders do not match the images of the micro-batch", std::move(mismatches));
  }
}

at::Tensor batch_loss(const InternVl& model, const MicroBatch& batch, const LossSettings& settings,
                      ImageFeatureCache& features, const at::Tensor& anchor, MicroResult& result,
                      Stopwatch& watch, const Cancellation& cancellation) {
  const auto finish = [&](const SupervisedStates& states) {
    const auto weights =
        states.rows.is_weighted ? at::tensor(states.rows.weights).to(states.hidden.device()) : at::Tensor();
    return linear_cross_entropy(states.hidden, model.language_model().head_weight(), states.labels, weights,
                                batch.denominator, settings.loss_chunk_rows);
  };
  return with_states(model, batch, settings, features, anchor, result, watch, cancellation, finish);
}

std::vector<double> sample_losses(const InternVl& model, const MicroBatch& batch, const LossSettings& settings,
                                  ImageFeatureCache& features, const at::Tensor& anchor, MicroResult& result,
                                  Stopwatch& watch, const Cancellation& cancellation) {
  const auto finish = [&](const SupervisedStates& states) {
    const auto rows = row_cross_entropy(states.hidden, model.language_model().head_weight(), states.labels,
                                        settings.loss_chunk_rows)
                          .to(at::kCPU, at::kDouble);
    std::vector<double> losses(batch.samples.size(), 0);
    for (size_t row = 0; row < states.rows.samples.size(); ++row) {
      losses[states.rows.samples[row]] += rows.const_data_ptr<double>()[row];
    }
    return losses;
  };
  return with_states(model, batch, settings, features, anchor, result, watch, cancellation, finish);
}

}  // namespace facellm

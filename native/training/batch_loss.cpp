#include "training/batch_loss.h"

#include <c10/core/GradMode.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>
#include <unordered_map>

#include "core/error.h"
#include "image/preprocess.h"
#include "training/activation_checkpoint.h"
#include "training/answer_loss.h"
#include "training/loss.h"
#include "training/prefix_tree.h"

namespace facellm {
namespace {

constexpr int32_t kIgnored = -100;

// Memory from which a GPU fetches by itself, and the host goes on; of a CPU the usual one.
at::Tensor host_tensor(at::IntArrayRef shape, at::ScalarType dtype, at::Device device) {
  return at::empty(shape, at::TensorOptions(dtype).pinned_memory(device.is_cuda()));
}

// Lists of numbers in one transfer; each is a window onto what arrived.
std::vector<at::Tensor> upload(const std::vector<std::vector<int64_t>>& lists, at::Device device) {
  std::vector<int64_t> counts;
  for (const auto& list : lists) counts.push_back(static_cast<int64_t>(list.size()));
  auto host = host_tensor({std::accumulate(counts.begin(), counts.end(), int64_t{0})}, at::kLong, device);
  auto* next = host.mutable_data_ptr<int64_t>();
  for (const auto& list : lists) next = std::copy(list.begin(), list.end(), next);
  return host.to(device, /*non_blocking=*/true).split_with_sizes(counts);
}

// uint8 tiles [N, 3, S, S] of several pictures -> vectors [N * tokens, D].
at::Tensor encode(const InternVl& model, const at::Tensor& tiles, const LossSettings& settings,
                  const at::Tensor& anchor, const Cancellation& cancellation) {
  std::vector<at::Tensor> parts;
  for (int64_t begin = 0; begin < tiles.size(0); begin += kTilesAtOnce) {
    const int64_t count = std::min(kTilesAtOnce, tiles.size(0) - begin);
    const auto sent = tiles.narrow(0, begin, count).to(model.options().device(), /*non_blocking=*/true);
    // By reference: a backward pass runs within the call that made it.
    const auto run = [&](const at::Tensor& x) { return model.encode_tiles(x, settings.channels, cancellation, {}); };
    parts.push_back(settings.trains_image_side && settings.checkpoints_activations
                        ? checkpointed(run, sent, anchor)
                        : run(sent));
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

// The pictures of a micro-batch, each once, and where its vectors begin among those of all.
struct Pictures {
  std::vector<const TrainImage*> images;
  std::unordered_map<std::string, int64_t> first_row;

  Pictures(const InternVlConfig& config, const std::vector<TrainSample>& samples) {
    int64_t rows = 0;
    for (const auto& sample : samples) {
      for (const auto& image : sample.images) {
        if (!first_row.emplace(image.key, rows).second) continue;
        images.push_back(&image);
        rows += tile_count(config, image) * config.image_seq_length;
      }
    }
  }
};

// Their vectors, [image tokens, D], or undefined without pictures.
at::Tensor image_vectors(const InternVl& model, const Pictures& pictures, const LossSettings& settings, ImageFeatureCache& cache,
                         const at::Tensor& anchor, const Cancellation& cancellation) {
  const c10::AutoGradMode grad_mode(c10::GradMode::is_enabled() && settings.trains_image_side);
  std::vector<at::Tensor> vectors, tiles;
  std::vector<size_t> fresh;
  std::vector<int64_t> counts;
  for (const auto* image : pictures.images) {
    vectors.push_back(settings.trains_image_side ? at::Tensor() : cache.find(image->key));
    if (vectors.back().defined()) continue;
    fresh.push_back(vectors.size() - 1);
    tiles.push_back(tile_tensor(model.config(), *image));
    counts.push_back(tiles.back().size(0) * model.config().image_seq_length);
  }
  if (!fresh.empty()) {
    const int64_t size = model.config().vision.image_size, count = std::accumulate(counts.begin(), counts.end(), int64_t{0});
    auto all = host_tensor({count / model.config().image_seq_length, 3, size, size}, at::kByte, model.options().device());
    at::cat_out(all, tiles);
    const auto split = encode(model, all, settings, anchor, cancellation).split_with_sizes(counts);
    for (size_t i = 0; i < fresh.size(); ++i) {
      vectors[fresh[i]] = split[i];
      // A copy: a view would keep the other pictures' vectors alive.
      if (!settings.trains_image_side) cache.insert(pictures.images[fresh[i]]->key, split[i].clone());
    }
  }
  return vectors.empty() ? at::Tensor() : at::cat(vectors);
}

// What tells a sample's tokens apart: ids, and in the place of a picture's token -1 minus the row of its vector, so that tokens of
// different pictures differ.
std::vector<int64_t> distinct_tokens(const InternVlConfig& config, const Pictures& pictures, const TrainSample& sample) {
  std::vector<int64_t> rows;
  for (const auto& image : sample.images) {
    const int64_t first = pictures.first_row.at(image.key);
    for (int64_t i = 0; i < tile_count(config, image) * config.image_seq_length; ++i) rows.push_back(first + i);
  }
  std::vector<int64_t> tokens(sample.ids.begin(), sample.ids.end());
  auto row = rows.begin();
  for (auto& token : tokens) {
    if (token == config.image_token_id) token = -1 - *row++;
  }
  return tokens;
}

// Flat indices of the rows that predict a learnt token, those tokens, and what each counts.
struct Supervised {
  std::vector<int64_t> rows, labels;
  std::vector<int64_t> owners;  // the sample of each row
  std::vector<int64_t> weights;  // bits of fp64, so that they travel with the other numbers
  bool is_weighted = false;
};

Supervised supervised_rows(const std::vector<TrainSample>& samples, const TokenLayout& layout) {
  Supervised result;
  for (size_t i = 0; i < samples.size(); ++i) {
    const auto& sample = samples[i];
    result.is_weighted |= sample.weight != 1;
    for (size_t t = 1; t < sample.labels.size(); ++t) {
      if (sample.labels[t] == kIgnored) continue;
      result.rows.push_back(layout.places[i][t - 1]);
      result.labels.push_back(sample.labels[t]);
      result.owners.push_back(static_cast<int64_t>(i));
      result.weights.push_back(std::bit_cast<int64_t>(sample.weight));
    }
  }
  return result;
}

// What predicts a learnt token: normalised hidden states [R, D], the tokens [R], whose they are, and what each counts (fp32;
// undefined where all count 1).
struct SupervisedStates {
  at::Tensor hidden, labels, owners, weights;
  Supervised rows;
};

// What `finish` makes of them.
template <typename Finish>
auto with_states(const InternVl& model, const MicroBatch& batch, const LossSettings& settings,
                 ImageFeatureCache& features, const at::Tensor& anchor, MicroResult& result, Stopwatch& watch,
                 const Cancellation& cancellation, const Finish& finish) {
  check_samples(model.config(), batch);
  const auto device = model.options().device();
  const auto& language_model = model.language_model();
  const Pictures pictures(model.config(), batch.samples);
  at::Tensor vectors;
  {
    const auto lap = watch.lap(result.vision_ms);
    vectors = image_vectors(model, pictures, settings, features, anchor, cancellation);
  }
  const auto lap = watch.lap(result.forward_ms);
  std::vector<std::vector<int64_t>> tokens;
  for (const auto& sample : batch.samples) {
    tokens.push_back(distinct_tokens(model.config(), pictures, sample));
    result.tokens += static_cast<int64_t>(sample.ids.size());
  }
  const auto layout = lay_out_tokens(tokens, settings.shares_prefix);
  std::vector<int64_t> ids, image_places, image_rows;
  for (const int64_t token : layout.tokens) {
    if (token < 0) {
      image_places.push_back(static_cast<int64_t>(ids.size()));
      image_rows.push_back(-1 - token);
    }
    ids.push_back(token < 0 ? model.config().image_token_id : token);
  }
  SupervisedStates states;
  states.rows = supervised_rows(batch.samples, layout);
  const auto sent = upload({ids, positions_of(layout.nodes), image_places, image_rows, states.rows.rows, states.rows.labels,
                            states.rows.owners, states.rows.weights}, device);
  PackedSequences sequences{language_model.embed(sent[0]), sent[1], layout.nodes};
  if (vectors.defined()) {
    sequences.embeddings = sequences.embeddings.index_copy(0, sent[2], vectors.index_select(0, sent[3]));
    result.image_tokens = static_cast<int64_t>(image_rows.size());
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
  states.labels = sent[5];
  states.owners = sent[6];
  if (states.rows.is_weighted) states.weights = sent[7].view(at::kDouble).to(at::kFloat);
  states.hidden = language_model.final_norm(hidden_states.index_select(0, sent[4]));
  result.label_tokens = static_cast<int64_t>(states.rows.rows.size());
  result.computed_tokens = static_cast<int64_t>(ids.size());
  return finish(states);
}

}  // namespace

void check_samples(const InternVlConfig& config, const MicroBatch& batch) {
  const auto& samples = batch.samples;
  std::vector<std::string> mismatches, problems;
  check_answer_sets(batch, problems);
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
    if (!(sample.weight > 0 || (sample.weight == 0 && !batch.answer_sets.empty())) || !std::isfinite(sample.weight)) {
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
  const auto& head = model.language_model().head_weight();
  const auto finish = [&](const SupervisedStates& states) {
    auto weights = states.weights;
    if (batch.answer_sets.empty()) {
      return linear_cross_entropy(states.hidden, head, states.labels, weights, batch.denominator, settings.loss_chunk_rows);
    }
    // Of whole answers the loss is no sum over tokens, but its gradient is one: that of each answer's log-probability, times what
    // the losses of its tokens have for theirs. So tokens weigh as much, and the value is put in the place of their sum.
    const auto rows = row_cross_entropy(states.hidden.detach(), head, states.labels, settings.loss_chunk_rows).to(at::kDouble);
    const auto& owners = states.owners;
    const auto log_probs = at::zeros({static_cast<int64_t>(batch.samples.size())}, rows.options()).index_add_(0, owners, rows, -1);
    const auto answers = answer_loss(batch.answer_sets, log_probs, batch.answers_denominator);
    if (!weights.defined()) weights = at::ones({rows.size(0)}, states.hidden.options().dtype(at::kFloat));
    const auto own = weights.to(at::kDouble) / batch.denominator;
    const auto value = (own * rows).sum() + answers.loss;
    const auto sum = linear_cross_entropy(states.hidden, head, states.labels, (own - answers.gradients.index_select(0, owners)).to(weights.scalar_type()),
                                          1, settings.loss_chunk_rows);
    return sum + (value - sum.detach()).to(sum.scalar_type());
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
    for (size_t row = 0; row < states.rows.owners.size(); ++row) {
      losses[static_cast<size_t>(states.rows.owners[row])] += rows.const_data_ptr<double>()[row];
    }
    return losses;
  };
  return with_states(model, batch, settings, features, anchor, result, watch, cancellation, finish);
}

}  // namespace facellm

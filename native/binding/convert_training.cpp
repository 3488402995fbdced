#include "binding/convert_training.h"

#include <memory>
#include <unordered_map>

#include "binding/convert.h"
#include "binding/js_value.h"
#include "binding/object_reader.h"

namespace facellm {
namespace {

// Of tiles by their key: eight questions about a picture bring them eight times.
using KnownTiles = std::unordered_map<std::string, std::shared_ptr<const std::vector<uint8_t>>>;

TrainSample read_sample(ObjectReader reader, KnownTiles& known) {
  TrainSample sample;
  sample.ids = reader.typed_array<int32_t>("ids", napi_int32_array, "an Int32Array");
  sample.labels = reader.typed_array<int32_t>("labels", napi_int32_array, "an Int32Array");
  sample.weight = reader.number("weight");
  reader.each("images", [&](Napi::Value image, const std::string& path) {
    ObjectReader own(image, path, reader.problems());
    const auto key = own.text("key");
    auto& tiles = known[key];
    if (!tiles) {
      tiles = std::make_shared<const std::vector<uint8_t>>(
          own.typed_array<uint8_t>("tiles", napi_uint8_array, "a Uint8Array"));
    }
    sample.images.push_back({key, tiles});
  });
  return sample;
}

AnswerSet read_answer_set(ObjectReader reader) {
  AnswerSet set{};
  set.first = reader.natural("first");
  set.count = reader.natural("count");
  const auto objective = reader.text("objective");
  reader.require(objective == "expected-reward" || objective == "preference", "objective: expected expected-reward or preference");
  set.objective = objective == "preference" ? AnswerObjective::kPreference : AnswerObjective::kExpectedReward;
  set.weight = reader.number("weight");
  set.strength = reader.number("strength");
  set.rewards = reader.typed_array<double>("rewards", napi_float64_array, "a Float64Array");
  set.start_log_probs = reader.typed_array<double>("startLogProbs", napi_float64_array, "a Float64Array");
  return set;
}

}  // namespace

TrainerRequest to_trainer_request(Napi::Value value) {
  return read_object("createTrainer", value, "request", [&](ObjectReader& reader) {
    TrainerRequest request;
    request.load = to_load_request(value.IsObject() ? value.As<Napi::Object>().Get("load") : value);
    reader.each("modules", [&](Napi::Value module, const std::string& path) {
      ObjectReader own(module, path, reader.problems());
      request.modules.push_back({own.text("name"), own.integer("rank"), own.number("scaling")});
    });
    reader.each("parts", [&](Napi::Value part, const std::string& path) {
      const auto name = part.IsString() ? part.As<Napi::String>().Utf8Value() : "";
      if (name != "vision" && name != "projector" && name != "text" && name != "head") {
        reader.problems().push_back(path + ": expected vision, projector, text or head");
      }
      request.parts.push_back(name);
    });
    request.uses_dora = reader.boolean("usesDora");
    request.dropout = reader.number("dropout");
    request.adapter_file = reader.text("adapterFile");
    request.seed = static_cast<uint64_t>(reader.natural("seed"));
    request.beta1 = reader.number("beta1");
    request.beta2 = reader.number("beta2");
    request.eps = reader.number("eps");
    request.weight_decay = reader.number("weightDecay");
    request.decays_vectors = reader.boolean("decaysVectors");
    auto rates = reader.child("rates");
    request.rates.vision = rates.number("vision");
    request.rates.projector = rates.number("projector");
    request.rates.text = rates.number("text");
    request.rates.head = rates.number("head");
    request.rates.layer_decay = rates.number("layerDecay");
    request.checkpoints_activations = reader.boolean("checkpointsActivations");
    request.loss_chunk_rows = reader.natural("lossChunkRows");
    request.shares_prefix = reader.boolean("sharesPrefix");
    request.shards_weights = reader.boolean("shardsWeights");
    request.feature_cache_bytes = reader.natural("featureCacheBytes");
    if (request.modules.empty() == request.parts.empty()) {
      reader.problems().push_back("request: expected either modules (LoRA) or parts (full fine-tuning)");
    }
    reader.require(request.dropout >= 0 && request.dropout < 1, "dropout: expected a number in [0, 1)");
    return request;
  });
}

MicroBatch to_micro_batch(Napi::Value value) {
  return read_object("micro-batch", value, "batch", [](ObjectReader& reader) {
    MicroBatch batch;
    KnownTiles known;
    reader.each("samples", [&](Napi::Value sample, const std::string& path) {
      batch.samples.push_back(read_sample({sample, path, reader.problems()}, known));
    });
    batch.denominator = reader.number("denominator");
    reader.require(batch.denominator > 0, "denominator: expected a number above 0");
    reader.each("answerSets", [&](Napi::Value set, const std::string& path) {
      batch.answer_sets.push_back(read_answer_set({set, path, reader.problems()}));
    });
    batch.answers_denominator = reader.number("answersDenominator");
    batch.draw = static_cast<uint64_t>(reader.natural("draw"));
    batch.is_last = reader.boolean("isLast");
    return batch;
  });
}

Augmentation to_augmentation(Napi::Value value) {
  return read_object("tilePixels", value, "augmentation", [](ObjectReader& reader) {
    return Augmentation{reader.integer("left"),    reader.integer("top"),
                        reader.integer("width"),   reader.integer("height"),
                        reader.boolean("flips"),   reader.number("brightness"),
                        reader.number("contrast"), reader.number("saturation")};
  });
}

UpdateRequest to_update_request(Napi::Value value) {
  return read_object("update", value, "request", [](ObjectReader& reader) {
    const UpdateRequest request{reader.number("learningRate"), reader.number("maxGradNorm")};
    reader.require(request.learning_rate >= 0, "learningRate: expected at least 0");
    return request;
  });
}

std::string to_path(Napi::Value value) {
  if (!value.IsString()) throw Error(ErrorCode::kInvalidArgument, "expected the path of a file");
  return value.As<Napi::String>().Utf8Value();
}

int64_t to_update_count(Napi::Value value) {
  const double updates = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : -1;
  if (updates < 0) throw Error(ErrorCode::kInvalidArgument, "updates: expected a number of at least 0");
  return static_cast<int64_t>(updates);
}

napi_value to_js(napi_env env, const TrainerInfo& info) {
  return js::object(env, {{"model", to_js(env, info.model)},
                          {"trainableParameters", js::count(env, info.trainable_parameters)}});
}

napi_value to_js(napi_env env, const MicroResult& result) {
  return js::object(env, {{"loss", js::number(env, result.loss)},
                          {"labelTokens", js::count(env, result.label_tokens)},
                          {"tokens", js::count(env, result.tokens)},
                          {"computedTokens", js::count(env, result.computed_tokens)},
                          {"imageTokens", js::count(env, result.image_tokens)},
                          {"visionMs", js::number(env, result.vision_ms)},
                          {"forwardMs", js::number(env, result.forward_ms)},
                          {"backwardMs", js::number(env, result.backward_ms)}});
}

napi_value to_js(napi_env env, const EvaluateResult& result) {
  const auto object = to_js(env, result.micro);
  const auto losses = js::array(env);
  uint32_t index = 0;
  for (const double loss : result.sample_losses) js::push(env, losses, index++, js::number(env, loss));
  js::set(env, object, "sampleLosses", losses);
  return object;
}

napi_value to_js(napi_env env, const UpdateResult& result) {
  return js::object(env, {{"gradNorm", js::number(env, result.grad_norm)},
                          {"optimizerMs", js::number(env, result.optimizer_ms)},
                          {"peakBytes", js::count(env, result.peak_bytes)}});
}

napi_value to_js(napi_env env, const NamedNorms& norms) {
  const auto array = js::array(env);
  uint32_t index = 0;
  for (const auto& [name, norm] : norms) {
    const auto pair = js::array(env);
    js::push(env, pair, 0, js::text(env, name));
    js::push(env, pair, 1, js::number(env, norm));
    js::push(env, array, index++, pair);
  }
  return array;
}

}  // namespace facellm

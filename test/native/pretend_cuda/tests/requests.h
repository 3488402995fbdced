// Requests to the tiny model on cuda:0, and what is asked of it in every test of costs and of memory.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine_driver.h"
#include "generation/face_llm.h"
#include "model/open_model.h"
#include "random_adapter.h"
#include "tiny_model.h"
#include "training/trainer.h"

namespace pretend_cuda {

inline facellm::LoadRequest on_device(const std::string& dtype) {
  auto request = facellm::tiny_model(facellm::kTinyWeights, dtype);
  request.device = "cuda";
  request.image_cache_bytes = request.prefix_cache_bytes = 1 << 24;
  return request;
}

inline std::unique_ptr<facellm::FaceLlm> load(const std::string& dtype) {
  return facellm::FaceLlm::load(on_device(dtype), [](int64_t, int64_t) {}, {});
}

// A picture of three tiles.
inline facellm::ImageInput picture() {
  facellm::ImageInput image;
  image.key = "picture";
  image.width = 70;
  image.height = 50;
  image.rgb = std::make_shared<const std::vector<uint8_t>>(70 * 50 * 3, uint8_t{90});
  image.columns = 2;
  image.rows = 1;
  image.has_thumbnail = true;
  return image;
}

inline facellm::Prompt prompt(int length, bool has_picture) {
  facellm::Prompt prompt;
  for (int i = 0; i < length; ++i) prompt.ids.push_back(100 + 7 * i);
  if (has_picture) {
    prompt.images = {picture()};
    prompt.ids.insert(prompt.ids.end(), 12, 2072);
  }
  prompt.ids.push_back(300);
  return prompt;
}

inline facellm::GenerateRequest generation(facellm::Prompt prompt, int64_t tokens) {
  facellm::GenerateRequest request{};
  request.prompt = std::move(prompt);
  request.sampling.is_greedy = true;
  request.rows = 1;
  request.max_new_tokens = tokens;
  return request;
}

// Adapters of the tiny model: of the whole text model, of some of its layers, and DoRA's.
class Adapters {
 public:
  Adapters() {
    const auto opened = facellm::open_model(facellm::tiny_model(facellm::kTinyWeights, "fp32"), [](int64_t, int64_t) {}, {});
    const auto add = [&](const std::vector<std::string>& parts, int64_t rank, bool uses_dora) {
      const auto file = folder_.file(std::to_string(sources_.size()) + ".safetensors");
      sources_.push_back(facellm::random_adapter(*opened.model, file, parts, rank, uses_dora));
    };
    at::manual_seed(4);
    add({"language_model."}, 8, false);
    add({"self_attn.q_proj", "mlp.down_proj"}, 3, false);
    add({"self_attn.v_proj", "gate_proj"}, 4, true);
  }

  // Into a model, in this order.
  std::vector<int64_t> load(facellm::FaceLlm& model) const {
    std::vector<int64_t> ids;
    for (const auto& source : sources_) ids.push_back(model.load_adapter(source).id);
    return ids;
  }

 private:
  facellm::TemporaryFolder folder_;
  std::vector<facellm::AdapterSource> sources_;
};

// All at once, each to its end; the ids one behind another. Throws what one fails with, when all are over.
inline std::vector<int32_t> answer(facellm::FaceLlm& model, const std::vector<facellm::GenerateRequest>& requests) {
  facellm::Driver driver(model);
  std::vector<std::shared_ptr<facellm::Outcome<facellm::GenerateResult>>> outcomes;
  for (const auto& request : requests) outcomes.push_back(driver.submit(request));
  driver.run();
  std::vector<int32_t> ids;
  for (const auto& outcome : outcomes) {
    if (outcome->error) throw facellm::Error(*outcome->error);
    const auto& own = driver.client->tokens[{outcome->id, 0}];
    ids.insert(ids.end(), own.begin(), own.end());
  }
  return ids;
}

inline std::unique_ptr<facellm::Trainer> lora_trainer(const std::string& dtype, bool shares_prefix = false) {
  facellm::TrainerRequest request{};
  request.load = on_device(dtype);
  for (int layer = 0; layer < 2; ++layer) {
    for (const char* name : {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.gate_proj",
                             "mlp.up_proj", "mlp.down_proj"}) {
      request.modules.push_back({"language_model.model.layers." + std::to_string(layer) + "." + name, 4, 2.0});
    }
  }
  request.seed = 5;
  request.beta1 = 0.9;
  request.beta2 = 0.999;
  request.eps = 1e-8;
  request.weight_decay = 0.01;
  request.checkpoints_activations = true;
  request.loss_chunk_rows = 8;
  request.shares_prefix = shares_prefix;
  return facellm::Trainer::create(request, nullptr, [](int64_t, int64_t) {}, {});
}

// Samples with a picture each; or, behind so many tokens that are the same in all, without.
inline facellm::MicroBatch batch(int samples = 2, int shared_tokens = 0) {
  facellm::MicroBatch batch{};
  for (int n = 0; n < samples; ++n) {
    facellm::TrainSample sample;
    for (int i = 0; i < 12 + n; ++i) sample.ids.push_back(100 + 7 * i + n);
    sample.labels = sample.ids;
    for (int i = 0; i < 5; ++i) sample.labels[i] = -100;
    sample.weight = 1;
    if (shared_tokens > 0) {
      sample.ids.insert(sample.ids.begin(), static_cast<size_t>(shared_tokens), 50);
      sample.labels.insert(sample.labels.begin(), static_cast<size_t>(shared_tokens), -100);
      batch.samples.push_back(std::move(sample));
      continue;
    }
    sample.ids.insert(sample.ids.begin() + 2, 4, 2072);
    sample.labels.insert(sample.labels.begin() + 2, 4, -100);
    sample.images = {{"tile " + std::to_string(n), std::make_shared<const std::vector<uint8_t>>(3 * 56 * 56, uint8_t(40 + n))}};
    batch.samples.push_back(std::move(sample));
  }
  batch.denominator = 15;
  batch.draw = 3;
  batch.is_last = true;
  return batch;
}

}  // namespace pretend_cuda

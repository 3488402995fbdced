#include "generation/face_llm.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include "core/device_health.h"
#include "core/error.h"
#include "core/runtime.h"
#include "generation/choose.h"
#include "generation/decode_loop.h"
#include "generation/prefill.h"
#include "model/open_model.h"

namespace facellm {
namespace {

HostTensor to_host(const std::string& name, const at::Tensor& value) {
  const auto host = value.to(at::kCPU, at::kFloat).contiguous();
  const auto* data = host.const_data_ptr<float>();
  return {name, host.sizes().vec(), std::vector<float>(data, data + host.numel())};
}

}  // namespace

struct FaceLlm::State {
  std::unique_ptr<InternVl> owned;
  InternVl& model;
  WeightFiles files;
  Session session;
  ModelInfo info;

  State(const LoadRequest& request, OpenedModel opened)
      : owned(std::move(opened.model)),
        model(*owned),
        files(std::move(opened.files)),
        session{model,
                request.preprocessing,
                ImageFeatureCache(request.image_cache_bytes),
                PrefixCache(request.prefix_cache_bytes),
                {},
                AdapterStacks(model)},
        info(std::move(opened.info)) {}

  // Runs `work` under `adapters`. What was computed from files that changed meanwhile is no result, and what
  // failed may have failed for that reason.
  template <typename Work>
  auto run(const std::vector<int64_t>& adapters, const Work& work) {
    const c10::InferenceMode inference;
    require_device(info.device);
    files.require_unchanged();
    session.stack = session.adapters.serial_of(adapters);
    session.adapters.set_all_rows(session.stack);
    try {
      auto result = work();
      files.require_unchanged();
      return result;
    } catch (const Error& error) {
      // Work that was stopped has filled caches all the same.
      if (files.has_changed() && error.code() != ErrorCode::kCancelled) files.require_unchanged();
      throw;
    } catch (...) {
      files.require_unchanged();
      throw;
    }
  }
};

FaceLlm::FaceLlm(std::unique_ptr<State> state) : state_(std::move(state)) {}
FaceLlm::~FaceLlm() = default;

std::unique_ptr<FaceLlm> FaceLlm::load(const LoadRequest& request, const LoadProgress& progress,
                                       const Cancellation& cancellation) {
  return std::unique_ptr<FaceLlm>(
      new FaceLlm(std::make_unique<State>(request, open_model(request, progress, cancellation))));
}

ModelInfo FaceLlm::info() const { return state_->info; }

GenerateResult FaceLlm::generate(const GenerateRequest& request, const TokenSink& sink,
                                 const Cancellation& cancellation) {
  return state_->run(request.adapters, [&] {
    const TokenSink checked = [&](std::span<const TokenEvent> events) {
      state_->files.require_unchanged();
      sink(events);
    };
    auto result = facellm::generate(state_->session, request, checked, cancellation);
    result.peak_bytes = facellm::peak_bytes(state_->info.device);
    return result;
  });
}

ChooseResult FaceLlm::choose(const ChooseRequest& request, const Cancellation& cancellation) {
  return state_->run(request.adapters, [&] {
    auto result = facellm::choose(state_->session, request, cancellation);
    result.peak_bytes = facellm::peak_bytes(state_->info.device);
    return result;
  });
}

std::vector<HostTensor> FaceLlm::embed_images(const std::vector<ImageInput>& images,
                                              const std::vector<int64_t>& adapters,
                                              const Cancellation& cancellation) {
  return state_->run(adapters, [&] {
    Timings timings{};
    Stopwatch watch(state_->model.options().device());
    const auto features = encode_images(state_->session, images, timings, watch, cancellation, {});
    std::vector<HostTensor> result;
    for (size_t i = 0; i < images.size(); ++i) result.push_back(to_host(images[i].key, features[i]));
    return result;
  });
}

std::vector<HostTensor> FaceLlm::trace(const Prompt& prompt, const std::vector<int64_t>& adapters,
                                       const Cancellation& cancellation) {
  check_prompt(state_->model.config(), prompt);
  return state_->run(adapters, [&] {
    std::vector<HostTensor> stages;
    const Trace record = [&](const std::string& name, const at::Tensor& value) {
      stages.push_back(to_host(name, value));
    };
    const auto& language_model = state_->model.language_model();
    auto cache = language_model.make_cache(1, static_cast<int64_t>(prompt.ids.size()));
    Timings timings{};
    Stopwatch watch(state_->model.options().device());
    const auto features = encode_images(state_->session, prompt.images, timings, watch, cancellation, record);
    const auto done = prefill(state_->session, prompt, features, cache, /*uses_prefix_cache=*/false,
                              timings, watch, cancellation, record);
    const auto logits = language_model.logits(done.hidden_states, record)[0].to(at::kFloat);
    record("logits.last", logits[-1]);
    record("logits.argmax", logits.argmax(-1));
    const auto best = std::get<0>(logits.topk(2, -1));
    record("logits.margin", best.select(-1, 0) - best.select(-1, 1));  // how clearly each position's winner won
    record("logits.logsumexp", logits.logsumexp(-1));
    return stages;
  });
}

AdapterInfo FaceLlm::load_adapter(const AdapterSource& source) {
  // DoRA keeps norms of the base's weights.
  state_->files.require_unchanged();
  const auto info = state_->session.adapters.load(source);
  if (const auto& files = state_->files; files.has_changed()) {
    state_->session.adapters.unload(info.id);
    files.require_unchanged();
  }
  return info;
}

void FaceLlm::unload_adapter(int64_t id) { state_->session.adapters.unload(id); }

void FaceLlm::clear_caches() {
  state_->session.image_features.clear();
  state_->session.prefixes.clear();
  state_->session.image_numbers.clear();
}

}  // namespace facellm

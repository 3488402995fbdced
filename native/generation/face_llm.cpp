#include "generation/face_llm.h"

#include <c10/core/InferenceMode.h>

#include "core/device_health.h"
#include "core/error.h"
#include "core/runtime.h"
#include "generation/check_request.h"
#include "generation/invariance_check.h"
#include "generation/step_engine.h"
#include "generation/trace.h"
#include "model/open_model.h"

namespace facellm {

struct FaceLlm::State {
  std::unique_ptr<InternVl> owned;
  InternVl& model;
  WeightFiles files;
  Preprocessing preprocessing;
  ModelInfo info;
  StepEngine engine;
  int threads;  // that every step computes with, whatever others set meanwhile; 0: what is set

  State(const LoadRequest& request, OpenedModel opened)
      : owned(std::move(opened.model)),
        model(*owned),
        files(std::move(opened.files)),
        preprocessing(request.preprocessing),
        info(std::move(opened.info)),
        engine(model, request, [this] { require_usable(); }),
        threads(request.is_deterministic ? runtime_info().threads : 0) {}

  // What was computed from files that changed meanwhile is no result.
  void require_usable() {
    require_device(info.device);
    files.require_unchanged();
  }
};

FaceLlm::FaceLlm(std::unique_ptr<State> state) : state_(std::move(state)) {}
FaceLlm::~FaceLlm() = default;

std::unique_ptr<FaceLlm> FaceLlm::load(const LoadRequest& request, const LoadProgress& progress,
                                       const Cancellation& cancellation) {
  if (request.is_deterministic) require_known_kernels(request.device);
  auto opened = open_model(request, progress, cancellation, {}, WeightOrder::kPacked);
  if (request.is_deterministic) require_invariant(*opened.model, cancellation);
  return std::unique_ptr<FaceLlm>(new FaceLlm(std::make_unique<State>(request, std::move(opened))));
}

ModelInfo FaceLlm::info() const { return state_->info; }

EngineStats FaceLlm::stats() const { return state_->engine.stats(); }

void FaceLlm::submit(Ticket ticket, GenerateRequest request, Done<GenerateResult> done) {
  state_->engine.submit(std::move(ticket), std::move(request), std::move(done));
}

void FaceLlm::submit(Ticket ticket, ChooseRequest request, Done<ChooseResult> done) {
  state_->engine.submit(std::move(ticket), std::move(request), std::move(done));
}

void FaceLlm::submit(Ticket ticket, EmbedRequest request, Done<std::vector<HostTensor>> done) {
  state_->engine.submit(std::move(ticket), std::move(request), std::move(done));
}

void FaceLlm::give_pixels(RequestId request, size_t image, std::shared_ptr<const std::vector<uint8_t>> rgb) {
  state_->engine.give_pixels(request, image, std::move(rgb));
}

bool FaceLlm::step() {
  const WithThreads threads(state_->threads);
  return state_->engine.step();
}

template <typename Work>
auto FaceLlm::beside(const Prompt& prompt, const std::vector<int64_t>& adapters, const Work& work) {
  check_prompt(state_->model.config(), prompt);
  for (const auto& image : prompt.images) check_pixels(image, image.rgb ? image.rgb->size() : 0);
  const c10::InferenceMode inference;
  const auto stream = state_->engine.enter_stream();
  state_->require_usable();
  auto& stacks = state_->engine.adapters();
  stacks.set_all_rows(stacks.serial_of(adapters));
  auto result = work();
  state_->require_usable();
  return result;
}

std::vector<HostTensor> FaceLlm::trace(const Prompt& prompt, const std::vector<int64_t>& adapters,
                                       const Cancellation& cancellation) {
  return beside(prompt, adapters,
                [&] { return trace_prompt(state_->model, state_->preprocessing, prompt, cancellation); });
}

HostTensor FaceLlm::last_logits(const Prompt& prompt, const std::vector<int64_t>& adapters, int64_t count,
                                const Cancellation& cancellation) {
  return beside(prompt, adapters, [&] {
    return facellm::last_logits(state_->model, state_->preprocessing, prompt, count, cancellation);
  });
}

AdapterInfo FaceLlm::load_adapter(const AdapterSource& source) {
  const auto stream = state_->engine.enter_stream();
  // DoRA keeps norms of the base's weights.
  state_->files.require_unchanged();
  auto& adapters = state_->engine.adapters();
  const auto info = adapters.load(source);
  try {
    state_->files.require_unchanged();
    if (state_->threads != 0) {
      const WithThreads threads(state_->threads);
      require_invariant_adapter(state_->model, adapters, info.id);
    }
  } catch (...) {
    adapters.unload(info.id);
    throw;
  }
  return info;
}

void FaceLlm::unload_adapter(int64_t id) { state_->engine.adapters().unload(id); }

void FaceLlm::clear_caches() { state_->engine.clear_caches(); }

}  // namespace facellm

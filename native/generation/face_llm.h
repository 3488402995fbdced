// The engine's face towards the binding: plain data in, plain data out, no torch header. Every method runs on
// the engine thread unless it says otherwise, and may throw facellm::Error or a c10 error.
#pragma once

#include <memory>
#include <vector>

#include "core/work_source.h"
#include "generation/request.h"
#include "lora/adapter_source.h"
#include "model/load_request.h"

namespace facellm {

class FaceLlm : public WorkSource {
 public:
  static std::unique_ptr<FaceLlm> load(const LoadRequest& request, const LoadProgress& progress,
                                       const Cancellation& cancellation);
  ~FaceLlm() override;
  FaceLlm(const FaceLlm&) = delete;
  FaceLlm& operator=(const FaceLlm&) = delete;

  ModelInfo info() const;
  // From any thread, as of the last step.
  EngineStats stats() const;
  // Each takes the request into the next step, or fails the ticket at once; never throws.
  void submit(Ticket ticket, GenerateRequest request, Done<GenerateResult> done);
  void submit(Ticket ticket, ChooseRequest request, Done<ChooseResult> done);
  // One [tokens, D] tensor an image, named by its key.
  void submit(Ticket ticket, EmbedRequest request, Done<std::vector<HostTensor>> done);
  void give_pixels(RequestId request, size_t image, std::shared_ptr<const std::vector<uint8_t>> rgb);
  bool step() override;
  // Every stage of one forward pass over the prompt, under the oracle's names (golden tests, doctor).
  std::vector<HostTensor> trace(const Prompt& prompt, const std::vector<int64_t>& adapters,
                                const Cancellation& cancellation);
  // Scores of the last `count` positions of such a pass, [count, V].
  HostTensor last_logits(const Prompt& prompt, const std::vector<int64_t>& adapters, int64_t count,
                         const Cancellation& cancellation);
  // Adapters beside the base, which stays as it is: kept in the model's dtype, active only in requests
  // that name them. Throws kAdapterInvalid listing every tensor that does not fit.
  AdapterInfo load_adapter(const AdapterSource& source);
  void unload_adapter(int64_t id);  // idempotent
  // Forgets image features and prefixes that no request uses.
  void clear_caches();

 private:
  struct State;
  // `work` on the engine's stream under these adapters, beside its loop.
  template <typename Work>
  auto beside(const Prompt& prompt, const std::vector<int64_t>& adapters, const Work& work);
  explicit FaceLlm(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace facellm

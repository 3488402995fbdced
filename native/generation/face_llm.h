// The engine's face towards the binding: plain data in, plain data out, no torch header. Every
// method runs on the engine thread and may throw facellm::Error or a c10 error. TypeScript has
// validated and filled in every default before; nothing here has one of its own.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/cancellation.h"
#include "generation/sampling_options.h"
#include "lora/adapter_source.h"
#include "model/load_request.h"

namespace facellm {

// One decoded picture and how it is to be cut. `rgb` is [height, width, 3] uint8, row-major.
struct ImageInput {
  std::string key;  // identity of the decoded pixels (a content hash); equal keys, equal pixels
  std::shared_ptr<const std::vector<uint8_t>> rgb;
  int64_t width = 0;
  int64_t height = 0;
  int columns = 1;
  int rows = 1;
  bool has_thumbnail = false;  // appends the whole picture as one more tile
};

// Token ids with image placeholders already expanded; the k-th placeholder of the prompt receives
// the k-th projected vector of `images` in order.
struct Prompt {
  std::vector<int32_t> ids;
  std::vector<ImageInput> images;
};

struct GenerateRequest {
  std::vector<Prompt> prompts;  // a batch; lengths may differ
  std::vector<int64_t> adapters;  // for all rows of the batch, in this order; empty: the base model
  SamplingOptions sampling;
  int64_t max_new_tokens;
  std::vector<int32_t> eos_ids;
  bool uses_prefix_cache;
};

struct TokenEvent {
  int32_t row;
  int32_t id;
  float log_prob;  // natural log of the model's probability, before temperature and filters
};

// kCancelled: the caller stopped the decode loop; what was generated until then counts.
enum class FinishReason { kEos, kLength, kCancelled };

struct RowResult {
  FinishReason finish_reason;
  int64_t prompt_tokens;
  int64_t image_tokens;
  int64_t cached_tokens;  // prompt tokens whose keys and values came from the prefix cache
  int64_t generated_tokens;
};

struct Timings {  // milliseconds; of a GPU's own work where the model lies on one (core/stopwatch.h)
  double preprocess;
  double vision;
  double prefill;
  double decode;
};

struct GenerateResult {
  std::vector<RowResult> rows;
  Timings timings;
  int64_t peak_bytes;
};

struct ChooseRequest {
  Prompt prompt;
  std::vector<int64_t> adapters;
  std::vector<std::vector<int32_t>> choices;  // each at least one id
  bool uses_prefix_cache;
};

struct ChooseResult {
  std::vector<double> log_probs;              // sum over each choice's ids, unnormalised
  std::vector<std::vector<float>> token_log_probs;
  int64_t prompt_tokens;
  int64_t image_tokens;
  int64_t cached_tokens;
  Timings timings;
  int64_t peak_bytes;
};

struct HostTensor {  // row-major, fp32
  std::string name;
  std::vector<int64_t> shape;
  std::vector<float> data;
};

using TokenSink = std::function<void(std::span<const TokenEvent>)>;

class FaceLlm {
 public:
  static std::unique_ptr<FaceLlm> load(const LoadRequest& request, const LoadProgress& progress,
                                       const Cancellation& cancellation);
  ~FaceLlm();
  FaceLlm(const FaceLlm&) = delete;
  FaceLlm& operator=(const FaceLlm&) = delete;

  ModelInfo info() const;
  GenerateResult generate(const GenerateRequest& request, const TokenSink& sink,
                          const Cancellation& cancellation);
  ChooseResult choose(const ChooseRequest& request, const Cancellation& cancellation);
  // One [tokens, D] tensor an image, named by its key.
  std::vector<HostTensor> embed_images(const std::vector<ImageInput>& images,
                                       const std::vector<int64_t>& adapters,
                                       const Cancellation& cancellation);
  // Every stage of one forward pass over the prompt, under the oracle's names (golden tests, doctor).
  std::vector<HostTensor> trace(const Prompt& prompt, const std::vector<int64_t>& adapters,
                                const Cancellation& cancellation);
  // Adapters beside the base, which stays as it is: kept in the model's dtype, active only in requests
  // that name them. Throws kAdapterInvalid listing every tensor that does not fit.
  AdapterInfo load_adapter(const AdapterSource& source);
  void unload_adapter(int64_t id);  // idempotent
  // Forgets cached image features and prefixes.
  void clear_caches();

 private:
  struct State;
  explicit FaceLlm(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace facellm

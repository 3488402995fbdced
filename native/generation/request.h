// What the engine is asked and what it answers: plain data, no torch header. TypeScript has validated and
// filled in every default before; nothing here has one of its own.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/cancellation.h"
#include "core/error.h"
#include "generation/row_control.h"
#include "generation/sampling_options.h"

namespace facellm {

// One picture and how it is to be cut. `rgb` is [height, width, 3] uint8, row-major; null: the client is asked for it
// where somebody must compute on it and nobody has it (StepClient::want_pixels).
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
  Prompt prompt;
  std::vector<int64_t> adapters;  // in this order; empty: the base model
  SamplingOptions sampling;
  int64_t rows;  // answers to the one prompt, each drawn from its own stream
  int64_t first_row;  // of the stream that the first answer draws from
  int64_t max_new_tokens;
  std::vector<int32_t> eos_ids;
  bool uses_prefix_cache;
  bool is_masked = false;  // each of its tokens waits for a mask (row_control.h)
};

struct ChooseRequest {
  Prompt prompt;
  std::vector<int64_t> adapters;
  std::vector<std::vector<int32_t>> choices;  // each at least one id
  bool uses_prefix_cache;
  uint64_t prefix_group = 0;  // shares prefixes with requests of the same number where it does not use the cache; 0: none
};

struct EmbedRequest {
  std::vector<ImageInput> images;
  std::vector<int64_t> adapters;
};

// Names a request among all of the process.
using RequestId = uint64_t;

struct TokenEvent {
  RequestId request;
  int32_t row;
  int32_t id;
  float log_prob;  // natural log; of which distribution: SamplingOptions::log_probs
  float mask_mass = 1;  // the model's own probability of all ids that the mask allowed
  std::vector<TokenLogProb> top = {};  // SamplingOptions::top_log_probs
};

// kCancelled: the caller stopped a row that had begun; what was generated until then counts. kFailed: its neighbours
// went on.
enum class FinishReason { kEos, kLength, kCancelled, kFailed };

struct RowResult {
  FinishReason finish_reason;
  int64_t prompt_tokens;
  int64_t image_tokens;
  int64_t cached_tokens;  // prompt tokens whose keys and values somebody had computed before
  int64_t generated_tokens;
  int64_t preemptions;
  std::optional<Error> error;  // of kFailed
};

struct Timings {  // milliseconds of the steps that worked for the request (core/stopwatch.h)
  double queue;   // before the first of them, from submission
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

// Who asked: a model's user in one JavaScript environment. Called on the engine thread; none may block or throw.
class StepClient {
 public:
  virtual ~StepClient() = default;
  // Brackets every step that computes for the client. False: it has gone, with its requests.
  virtual bool enter() = 0;
  virtual void leave() = 0;
  // It has not taken what it was given: its rows pause, nobody else's.
  virtual bool is_slow() const = 0;
  // The tokens that a step gave to its requests.
  virtual void deliver(std::vector<TokenEvent> tokens) = 0;
  // The request waits until these come (StepEngine::give_pixels), or it is cancelled.
  virtual void want_pixels(RequestId request, size_t image) = 0;
};

// What the engine holds of a request besides the question itself.
struct Ticket {
  RequestId id;
  std::shared_ptr<StepClient> client;
  std::shared_ptr<const Cancellation> cancellation;
  std::function<void(const Error&)> fail;  // ends it; or `done` does, once
  std::shared_ptr<RowControl> control = std::make_shared<RowControl>();
  std::chrono::steady_clock::time_point submitted = std::chrono::steady_clock::now();
};

template <typename Result>
using Done = std::function<void(Result)>;

struct EngineStats {
  int64_t waiting_requests;
  int64_t running_rows;
  int64_t total_blocks;
  int64_t used_blocks;   // that rows read
  int64_t cached_blocks;  // that no row reads, kept for prefixes
  int64_t block_tokens;
  int64_t block_bytes;
  int64_t pinned_images;  // whose vectors requests hold
  int64_t cached_images;
  int64_t received_images;  // pixels that came, with a request or when asked for
  int64_t steps;
  int64_t tokens_computed;
  int64_t tokens_cached;  // of prompts, not computed again
  int64_t tokens_generated;
  int64_t tiles_encoded;
  int64_t preemptions;
};

}  // namespace facellm

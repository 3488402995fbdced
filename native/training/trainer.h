// Training's face towards the binding: plain data in, plain data out, no torch header. TypeScript has
// validated and filled in every default before; nothing here has one of its own. Every method runs on the
// engine thread and may throw facellm::Error or a c10 error.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/cancellation.h"
#include "distributed/process_group.h"
#include "model/load_request.h"

namespace facellm {

struct TrainedModule {
  std::string name;  // released HF name of a linear layer
  int64_t rank;
  double scaling;
};

// What multiplies the learning rate.
struct PartRates {
  double vision = 1, projector = 1, text = 1, head = 1;
  double layer_decay = 1;  // of a layer against the one above it
};

struct TrainerRequest {
  LoadRequest load;
  // LoRA where there are modules, else full fine-tuning of `parts`.
  std::vector<TrainedModule> modules;
  bool uses_dora;
  double dropout;
  std::string adapter_file;        // start from this adapter_model.safetensors; "": fresh
  std::vector<std::string> parts;  // of vision, projector, text, head
  uint64_t seed;
  double beta1, beta2, eps, weight_decay;
  bool decays_vectors;
  PartRates rates;
  bool checkpoints_activations;
  int64_t loss_chunk_rows;      // 0: all supervised rows at once
  bool shares_prefix;           // what samples of a micro-batch begin with alike is computed once
  bool shards_weights;          // with a job: text layers' weights shared out over the ranks
  int64_t feature_cache_bytes;  // projected vectors of pictures kept while the image side is frozen; 0: none
};

// Tiles are cut by TypeScript's pool ahead of time: uint8 [tiles, 3, S, S].
struct TrainImage {
  std::string key;  // identity of the tiles' content
  std::shared_ptr<const std::vector<uint8_t>> tiles;
};

struct TrainSample {
  std::vector<int32_t> ids;     // image placeholders expanded
  std::vector<int32_t> labels;  // -100: not learnt; labels[t] is learnt from the tokens before t
  double weight;                // of its losses in the sum; in an answer set perhaps 0
  std::vector<TrainImage> images;
};

// What is learnt from the probabilities of whole answers to one question, beside or instead of their tokens' losses.
enum class AnswerObjective {
  kExpectedReward,  // -sum p_i r_i + strength KL(p || start), p the probabilities among these answers
  kPreference,      // -log sigmoid(strength (log p_0 / start_0 - log p_1 / start_1)), the first preferred (DPO, arXiv 2305.18290)
};

// Answers to one question: neighbours among a micro-batch's samples, each learnt token of which is the answer's.
struct AnswerSet {
  int64_t first, count;
  AnswerObjective objective;
  double weight;                        // of its loss in the sum
  double strength;                      // KL's weight; beta
  std::vector<double> rewards;          // of each answer; empty for a preference
  std::vector<double> start_log_probs;  // of each answer under the model that training started from; empty: not asked for
};

struct MicroBatch {
  std::vector<TrainSample> samples;  // of this rank; may be empty in a job
  double denominator;  // the loss is a weighted sum over learnt tokens divided by this
  std::vector<AnswerSet> answer_sets;
  double answers_denominator;  // of the answer sets' losses, which are added
  uint64_t draw;       // tells this micro-batch's dropout from all others
  // The last of its update: gradients of other processes are added in during its backward pass.
  bool is_last;
};

struct MicroResult {
  double loss;
  int64_t label_tokens;
  int64_t tokens;           // of all samples
  int64_t computed_tokens;  // fewer where samples share what they begin with
  int64_t image_tokens;     // computed
  double vision_ms, forward_ms, backward_ms;
};

struct EvaluateResult {
  MicroResult micro;                  // its loss as accumulate() has it: weighted, over the denominator
  std::vector<double> sample_losses;  // of each sample the sum over its learnt tokens, nats
};

struct UpdateRequest {
  double learning_rate;
  double max_grad_norm;  // 0: no clipping
};

struct UpdateResult {
  double grad_norm;  // before clipping
  double optimizer_ms;
  int64_t peak_bytes;
};

struct TrainerInfo {
  ModelInfo model;
  int64_t trainable_parameters;
  int64_t updates;
};

using NamedNorms = std::vector<std::pair<std::string, double>>;

class Trainer {
 public:
  // `group`: the job that this process trains in, or null. Its ranks make the same calls in the same order;
  // losses and counts are of the rank's own samples, gradients and their norm of all.
  static std::unique_ptr<Trainer> create(const TrainerRequest& request,
                                         const std::shared_ptr<ProcessGroup>& group,
                                         const LoadProgress& progress, const Cancellation& cancellation);
  ~Trainer();
  Trainer(const Trainer&) = delete;
  Trainer& operator=(const Trainer&) = delete;

  TrainerInfo info() const;
  // Forward and backward of one micro-batch; gradients add up until update(). Throws kLossNonFinite and
  // kImageTokenMismatch; after any throw the gradients of the whole update are gone.
  MicroResult accumulate(const MicroBatch& batch, const Cancellation& cancellation);
  // The losses alone, without dropout and gradients. A rank of a job may have no samples: it takes part in gathering shared-out
  // weights for those that have.
  EvaluateResult evaluate(const MicroBatch& batch, const Cancellation& cancellation);
  // Clips, updates, clears. Throws kLossNonFinite before touching a parameter. After any throw the gradients are gone.
  UpdateResult update(const UpdateRequest& request, const Cancellation& cancellation);
  // L2 norms of the gradients now held, by checkpoint or PEFT name (tests, diagnostics).
  NamedNorms gradient_norms(const Cancellation& cancellation) const;
  // Rank 0's trainable tensors and optimizer state to all ranks; without a job, nothing.
  void synchronise(int64_t updates, const Cancellation& cancellation);

  // adapter_model.safetensors in PEFT's layout (LoRA), fp32.
  void save_adapter(const std::string& file) const;
  // All tensors of the model as one safetensors file under released HF names, in its dtype (full).
  void save_weights(const std::string& file) const;
  // Optimizer moments, master copies and the trainable tensors themselves, exactly.
  void save_state(const std::string& file) const;
  // Throws kCheckpointInvalid where the file belongs to another model or other settings, or cannot be read to its
  // end; then nothing changed. Reads all of it before, so for that time the state is in memory twice.
  void restore_state(const std::string& file, int64_t updates);

 private:
  struct State;
  explicit Trainer(std::unique_ptr<State> state);
  void clear_gradients();
  std::unique_ptr<State> state_;
};

}  // namespace facellm

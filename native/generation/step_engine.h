// The loop under everything that answers: requests join and leave between steps, each step computes what
// native/scheduling plans for all of them, in one packed pass. Lives on one thread.
#pragma once

#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <vector>

#include "core/device_stream.h"
#include "core/kept_memory.h"
#include "generation/active_request.h"
#include "generation/device_step.h"
#include "generation/next_tokens.h"
#include "generation/picture_encoder.h"
#include "generation/prompt_graphs.h"
#include "generation/sampler.h"
#include "generation/step_batch.h"
#include "generation/token_identities.h"
#include "lora/adapter_stacks.h"
#include "model/decode_step.h"
#include "model/load_request.h"

namespace facellm {

// Of a step's large tensors on a CPU, for the next step: gates and ups of 256 tokens of the 8B are 19 MB, a tile's widest layer 8.
constexpr int64_t kMostKeptBytes = 256 << 20;

class StepEngine {
 public:
  // `require_unchanged` throws when the weights are not what was loaded.
  StepEngine(InternVl& model, const LoadRequest& request, std::function<void()> require_unchanged);
  // What is under way fails with kDisposed.
  ~StepEngine();

  // Each takes the request into the next plan, or fails the ticket at once.
  void submit(Ticket ticket, GenerateRequest request, Done<GenerateResult> done);
  void submit(Ticket ticket, ChooseRequest request, Done<ChooseResult> done);
  void submit(Ticket ticket, EmbedRequest request, Done<std::vector<HostTensor>> done);
  // Of an image that came without; a request that has ended wants none. Pixels of another size fail it.
  void give_pixels(RequestId request, size_t image, std::shared_ptr<const std::vector<uint8_t>> rgb);
  // One step. False if there is nothing to do now: no requests, or their readers are slow.
  bool step();

  AdapterStacks& adapters() { return adapters_; }
  // All work for the model that is not the engine's own goes to its stream, behind all of that.
  DeviceStream::Scope enter_stream() const {
    encoder_.wait_for_beside();
    return stream_.enter();
  }
  void clear_caches();
  EngineStats stats() const;  // from any thread, as of the last step

 private:
  using Clients = std::set<std::shared_ptr<StepClient>>;

  ActiveRequest& add(Ticket ticket, const std::vector<int64_t>& adapters, std::vector<ImageInput> images);
  void add_rows(ActiveRequest& request, const Prompt& prompt, int64_t count, int64_t most_tokens,
                const SamplingOptions& sampling, bool uses_prefix_cache, uint64_t prefix_group);
  void check_room(int64_t tokens) const;
  void begin(ActiveRequest& request);

  Clients enter_clients();
  void drop_cancelled();
  std::vector<Row*> rows_in_order();
  PlannerRow planner_row(const Row& row, const std::vector<Row*>& before) const;
  StepPlan plan(const std::vector<Row*>& rows);
  void preempt(Row& row);
  bool admit(Row& row);
  at::Tensor find_features(const std::string& identity);
  bool is_encoded(Picture& picture);
  bool has_pixels(ActiveRequest& request, Picture& picture);
  bool is_held_up() const;
  // Pictures of one request, and of the stack whose turn it is.
  struct Unencoded {
    ActiveRequest* request;
    std::vector<Picture*> pictures;
  };
  std::vector<Unencoded> unencoded();
  EncodeLimits encode_limits(bool are_several, bool is_beside_others) const;
  bool encode(bool is_beside_others);
  bool encode_by_turns(StepPlan& plan, const std::vector<Row*>& rows);
  std::vector<RowShare> shares_of(const StepPlan& plan, const std::vector<Row*>& rows);
  void set_adapter_rows(const std::vector<RowShare>& shares, int64_t places);
  void compute(const std::vector<RowShare>& shares);
  DecodeStep::Output forward(const std::vector<RowShare>& shares, const Cancellation& cancellation);
  bool follows(const StepPlan& plan, const std::vector<Row*>& rows) const;
  bool compute_on_device(const std::vector<RowShare>& shares);
  void read_device_step();
  void settle();
  void take(const std::vector<RowShare>& shares, const DecodeStep::Output& computed, const Cancellation& cancellation);
  at::Tensor logits_of(const at::Tensor& hidden) const;
  bool choose_undecided();
  void choose(const std::vector<Row*>& rows, const at::Tensor& logits);
  void accept(Row& row, Chosen chosen);
  bool has_mask(Row& row) const;
  void finish_row(Row& row, FinishReason reason);
  bool finish_done();
  void finish(ActiveRequest& request);
  void fail(ActiveRequest& request, const Error& error);
  void remove(ActiveRequest& request);
  void after_failure(const std::set<ActiveRequest*>& requests, const Error& error);
  void deliver();
  void note_memory();
  void publish_stats();

  KeptMemory kept_memory_;  // ends after everything that it may have kept
  InternVl& model_;
  DeviceStream stream_;
  std::function<void()> require_unchanged_;
  int64_t max_context_;
  PlanLimits limits_;
  BlockCache cache_;
  KvPool pool_;
  RowFill fill_;
  std::unique_ptr<DeviceStep> device_step_;  // of a GPU; null: every step goes by the plan alone
  std::unique_ptr<PromptGraphs> prompt_graphs_;  // of a GPU
  std::unique_ptr<DecodeStep> decode_step_;      // of a CPU, where it need not be deterministic
  PictureEncoder encoder_;
  TokenIdentities identities_;
  AdapterStacks adapters_;
  uint64_t unshared_roots_ = 0;
  bool has_just_encoded_ = false;

  std::list<std::unique_ptr<ActiveRequest>> requests_;  // by arrival
  std::vector<Row*> running_;  // by admission
  std::list<Row*> waiting_;    // by arrival, those that lost their blocks in front
  std::set<RequestId> suspects_;  // a step of theirs together failed: each has one of its own
  std::map<std::shared_ptr<StepClient>, std::vector<TokenEvent>> events_;

  SamplerScratch scratch_;
  EngineStats counts_{};
  mutable std::mutex stats_mutex_;
  EngineStats stats_{};
};

}  // namespace facellm

// Requests and rows while the engine works on them. Internal to the room.
#pragma once

#include <ATen/ATen.h>

#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "generation/request.h"
#include "generation/token_history.h"
#include "scheduling/plan_step.h"
#include "scheduling/row_blocks.h"

namespace facellm {

// A picture of one request.
struct Picture {
  ImageInput input;
  std::string identity;  // of its vectors: pixels, cut, adapters of the vision tower
  at::Tensor features;   // [tokens, D] once it is encoded
  bool is_needed = false;  // somebody must compute on it
  bool is_asked = false;   // the client was told that its pixels are wanted
};

struct ActiveRequest;

// One answer, or the prompt that answers are scored behind.
struct Row {
  ActiveRequest* request;
  int32_t number;
  std::vector<int32_t> ids;               // prompt and generated
  std::vector<TokenIdentity> identities;  // of each id: what the cache compares
  RowBlocks blocks;
  TokenHistory history;
  uint32_t choice = 0;  // of the stream that it draws from
  RowPhase phase = RowPhase::kWaiting;
  int64_t computed = 0;  // ids whose keys and values are in the pool, or will be when steps under way are done
  int64_t unread = 0;    // ids that such steps choose: known to the device, not here
  int64_t most_tokens = 0;
  bool is_finished = false;
  std::shared_ptr<const TokenMask> mask;  // of the next token, once it has come
  at::Tensor undecided;  // [1, D], the last hidden state, while the mask has not come
  RowResult result{};

  int64_t size() const { return static_cast<int64_t>(ids.size()); }
  int64_t size_on_device() const { return size() + unread; }
};

struct Generation {
  GenerateRequest request;
  Done<GenerateResult> done;
};

// Scores answers group by group, each group one tree behind the prompt.
struct Choosing {
  ChooseRequest request;
  Done<ChooseResult> done;
  ChooseResult result{};
  size_t next = 0;  // of the choices with more than one id: the first that is not scored
};

struct Embedding {
  EmbedRequest request;
  Done<std::vector<HostTensor>> done;
};

struct ActiveRequest {
  Ticket ticket;
  std::variant<Generation, Choosing, Embedding> work;
  uint64_t stack = 0;  // of adapters, by its serial
  uint64_t root = 0;   // of its prefixes in the block cache
  bool is_root_shared = false;   // with requests that come when it has gone
  bool shares_blocks = false;    // with others under way, or among its rows
  bool has_begun = false;
  std::vector<Picture> pictures;
  // When its pictures' turn is, in tiles that the encoder has begun; none of them has been wanted yet: -1.
  int64_t pictures_due = -1;
  // Of each prompt token: the picture whose placeholder it is, or -1, and its place in that picture.
  std::vector<int32_t> picture_of;
  std::vector<int32_t> place_of;
  std::vector<std::unique_ptr<Row>> rows;
  Timings timings{};
  int64_t peak_bytes = 0;

  int64_t prompt_tokens() const { return static_cast<int64_t>(picture_of.size()); }
};

// Of a row that generates.
inline const GenerateRequest& asked(const Row& row) { return std::get<Generation>(row.request->work).request; }

}  // namespace facellm

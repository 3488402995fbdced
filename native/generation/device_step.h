// The step in which every row computes one token, resident on a GPU: ids, positions, lengths and slots live there and the
// step moves them on itself; attention and choice read them there. So the next step can be started before this one's tokens
// are read, and a step of a number of rows, under the same adapters, is one graph once it has come often enough. The body is
// the same in both.
#pragma once

#include <c10/core/Event.h>

#include <array>
#include <deque>
#include <optional>

#include "core/graph_cache.h"
#include "generation/next_tokens.h"
#include "generation/step_buffers.h"
#include "model/internvl.h"

namespace facellm {

class DeviceStep {
 public:
  // Whether this device and this model's heads can do it.
  static bool serves(const InternVl& model);

  // most_blocks: that a row may have.
  DeviceStep(const InternVl& model, const KvPool& pool, int64_t most_rows, int64_t most_blocks);

  // Whether these rows' next tokens can be chosen on the device.
  bool takes(std::span<Row* const> rows) const;
  // Whether a step of just these rows can follow the last one unread: nothing that the host must tell before depends on
  // tokens that it does not know.
  bool continues(std::span<Row* const> rows) const;
  // So many places a step of `rows` rows has: those behind the rows are empty.
  static int64_t places_of(int64_t rows);

  // Starts a step. Each row has its block for the token that is computed; rows of one stack of adapters stand together. `builds`: of
  // those stacks' matrices (AdapterStacks::builds()). What it throws has changed nothing that the next upload does not mend.
  void begin(std::span<Row* const> rows, uint64_t builds);

  // Steps begun and not read: at most two.
  size_t under_way() const { return steps_.size(); }
  struct Token {
    Row* row;
    Chosen chosen;
    ChoiceStatus status;
  };
  struct Read {
    std::vector<Token> tokens;  // of rows that have not gone meanwhile
    double milliseconds;        // that the step took on the device
  };
  // The tokens of the oldest step, waited for. One has to be under way.
  Read read();
  // The row has gone: whatever is chosen for it is nobody's.
  void forget(const Row& row);

 private:
  struct Ring {  // of pinned memory
    at::Tensor chosen;
    std::optional<c10::Event> begin, end;
  };
  struct Begun {
    std::vector<Row*> rows;  // null: gone
    size_t slot;
  };
  // What a step's kernels follow from: its places, and where there are adapters, each stack and how many rows it has, in order.
  using Key = std::vector<uint64_t>;
  // Mixtures that live a few steps would pay for a recording and hardly replay it.
  static constexpr int kRunsBefore = 1, kRunsBeforeOfMixture = 3;
  // Of steps with adapters, whose mixtures have no end; the others' numbers of places do.
  static constexpr size_t kMostMixtures = 16, kMostOthers = 64;
  struct Io {};  // the buffers, of all of them

  static Key key_of(std::span<Row* const> rows, int64_t places);
  void run(const Key& key, int64_t places);
  void compute(int64_t places) const;

  const InternVl& model_;
  const KvPool& pool_;
  int64_t most_rows_;
  StepBuffers buffers_;
  std::array<Ring, 2> ring_;
  size_t next_slot_ = 0;
  std::deque<Begun> steps_;
  bool is_stale_ = true;      // the buffers do not hold the last step's rows
  int64_t known_blocks_ = 0;  // of all rows, that the buffers' table holds
  GraphCache<Key, Io> base_graphs_{kRunsBefore, kMostOthers, &mixtures_}, mixtures_{kRunsBeforeOfMixture, kMostMixtures, &base_graphs_};
  uint64_t builds_ = 0;  // that the mixtures were recorded with
};

}  // namespace facellm

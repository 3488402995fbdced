#include "model/decode_step.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <chrono>

#include "kernels/common/checks.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/packed_matrix.h"
#include "kernels/cpu/row_work.h"
#include "kernels/cpu/scratch.h"
#include "kernels/low_rank/low_rank_on_cpu.h"

namespace facellm {
namespace {

// With more rows the products are what a step costs.
constexpr int64_t kMostRows = 8;
// Scores of a row's keys: memory for so many more than there are, so that it does not grow with every token.
constexpr int64_t kKeysAtOnce = 1024;
// Rows up to which every kernel fetches ahead of itself.
constexpr int64_t kMostPrefetching = 2;
// Multiplications of a product below which a second thread costs more than it saves.
constexpr int64_t kWorthThreads = 1 << 18;

// What an adapter's matrices are to the kernels.
DecodeAddition addition_of(const LowRankGroup& group, const DecodeLinear& own, DecodeWork& work) {
  const auto& parts = work.parts.emplace_back(cpu_parts_of(*group.matrices));
  const auto& a = group.matrices->a;
  return {{nullptr, 0, nullptr, own.view.weight_rows, a.const_data_ptr(), a.size(1), a.size(0), parts.data(), std::ssize(parts),
           own.view.bias, work.is_bf16},
          group.begin,
          group.count};
}

// Whether the layer is this packed matrix, and what adapters add to it, and nothing else.
bool describe(const Linear& linear, int64_t prefetch, DecodeWork& work, DecodeLinear& own) {
  if (linear.frozen || !linear.packed) return false;
  const auto view = linear.packed->view(linear.bias, work.rows, work.is_bf16 ? at::kBFloat16 : at::kFloat);
  if (!view) return false;
  own.view = *view;
  own.view.prefetch = prefetch;
  if (!linear.extension) return true;
  const auto groups = linear.extension->additions(work.rows);
  if (!groups) return false;
  for (const auto& group : *groups) own.additions.push_back(addition_of(group, own, work));
  return true;
}

}  // namespace

bool DecodeStep::describe_model(DecodeWork& work, bool wants_logits) const {
  const auto& config = model_.config_;
  work.kernels = &row_kernels();
  work.hidden = config.hidden_size;
  work.intermediate = config.intermediate_size;
  work.heads = config.num_attention_heads;
  work.kv_heads = config.num_key_value_heads;
  work.head_dim = config.head_dim;
  work.eps = static_cast<float>(config.rms_norm_eps);
  for (size_t i = 0; i < model_.layers_.size(); ++i) {
    const auto& layer = model_.layers_[i];
    const auto index = static_cast<int64_t>(i);
    DecodeLayer own{};
    own.input_norm = layer.input_layernorm.const_data_ptr();
    own.post_attention_norm = layer.post_attention_layernorm.const_data_ptr();
    own.keys = pool_.keys(index).mutable_data_ptr();
    own.values = pool_.values(index).mutable_data_ptr();
    const auto take = [&](const Linear& linear, DecodeLinear& its) { return describe(linear, prefetch_.bytes(), work, its); };
    if (!take(layer.qkv, own.qkv) || !take(layer.o_proj, own.o_proj) || !take(layer.gate_up, own.gate_up) ||
        !take(layer.down_proj, own.down_proj)) {
      return false;
    }
    work.layers.push_back(std::move(own));
  }
  const bool has_head = wants_logits && describe(model_.lm_head_, prefetch_.bytes(), work, work.head);
  work.final_norm = has_head ? model_.norm_.const_data_ptr() : nullptr;
  return true;
}

void DecodeStep::describe_rows(DecodeWork& work, const StepBatch& batch) const {
  const auto& rows = batch.singles->rows;
  work.embeddings = batch.embeddings.const_data_ptr();
  work.slots = batch.slots.const_data_ptr<int64_t>();
  work.block_table = rows.block_table.const_data_ptr<int32_t>();
  work.lengths = rows.lengths.const_data_ptr<int64_t>();
  work.block_size = rows.block_size;
  work.most_blocks = rows.block_table.size(1);
  const auto &keys = pool_.keys(0), &values = pool_.values(0);
  work.key_head = keys.stride(0);
  work.key_slot = keys.stride(1);
  work.value_head = values.stride(0);
  work.value_slot = values.stride(1);
  // What the operations check, once for all layers, before anything is read.
  KernelChecks checks("decode_step");
  const bool are_whole = batch.slots.size(0) == work.rows && batch.positions.size(0) == work.rows && rows.lengths.size(0) == work.rows &&
                         rows.block_table.size(0) == work.rows;
  checks.require(are_whole && rows.block_size > 0, "slots, positions, lengths, block_table: expected one of each row");
  checks.require(batch.slots.is_contiguous() && rows.lengths.is_contiguous() && rows.block_table.is_contiguous(),
                 "slots, lengths, block_table: expected contiguous tensors");
  checks.finish();
  const int64_t slots = keys.size(1), blocks = slots / rows.block_size;
  int64_t most = 1;
  for (int64_t r = 0; r < work.rows; ++r) {
    const auto* const table = work.block_table + r * work.most_blocks;
    const int64_t length = work.lengths[r], own = (length + rows.block_size - 1) / rows.block_size;
    const auto is_there = [&](int32_t block) { return block >= 0 && block < blocks; };
    const bool sees = length > 0 && own <= work.most_blocks && std::all_of(table, table + own, is_there);
    if (!sees || work.slots[r] < 0 || work.slots[r] >= slots) {
      checks.add("row " + std::to_string(r) + " has slots that it has no block for, or that the pool has not");
    }
    most = std::max(most, length);
  }
  checks.finish();
  work.most_keys = (most + kKeysAtOnce - 1) / kKeysAtOnce * kKeysAtOnce;
}

SpinTeam& DecodeStep::team_for(const DecodeWork& work) {
  // For as many rows as there may be: a team does not come and go with them.
  const int64_t columns = std::max(2 * work.intermediate, work.final_norm != nullptr ? work.head.view.weight_rows : 0);
  const int64_t members = kMostRows * work.hidden * columns < kWorthThreads ? 1 : at::get_num_threads();
  if (!team_ || members_ != members) team_ = std::make_unique<SpinTeam>(members);
  members_ = members;
  return *team_;
}

std::optional<DecodeStep::Output> DecodeStep::forward(const StepBatch& batch, bool wants_logits, const Cancellation& cancellation) {
  const auto& x = batch.embeddings;
  DecodeWork work{};
  work.rows = x.size(0);
  work.is_bf16 = x.scalar_type() == at::kBFloat16;
  // Whether each row is a token that sees its own slots only.
  const bool is_plain = batch.singles && !batch.singles->places.defined() && !batch.is_invariant && batch.segments.empty();
  if (!is_plain || work.rows == 0 || work.rows > kMostRows || !takes_row_kernels(x) || !x.is_contiguous()) return {};
  if (!describe_model(work, wants_logits)) return {};
  describe_rows(work, batch);
  work.cancellation = &cancellation;
  const auto rotary = model_.rotary_(batch.positions);
  work.cos = rotary.cos.const_data_ptr();
  work.sin = rotary.sin.const_data_ptr();
  Output output{at::empty_like(x), {}};
  work.out = output.hidden.mutable_data_ptr();
  if (work.final_norm != nullptr) {
    output.logits = at::empty({work.rows, work.head.view.weight_rows}, x.options());
    work.logits = output.logits.mutable_data_ptr();
  }
  auto& team = team_for(work);
  auto* const memory = static_cast<std::byte*>(scratch(decode_layers_bytes(work, team.members())));
  const auto begin = std::chrono::steady_clock::now();
  if (!decode_layers(work, memory, team)) cancellation.check();
  const std::chrono::duration<double> time = std::chrono::steady_clock::now() - begin;
  // With more rows some kernels fetch their share of the next block instead.
  if (work.rows <= kMostPrefetching) prefetch_.took(time.count(), 2 * work.rows + (work.final_norm != nullptr));
  return output;
}

}  // namespace facellm

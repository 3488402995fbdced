#include "kernels/cpu/decode_layers.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>

namespace facellm {
namespace {

constexpr int64_t kLine = 64;

int64_t on_a_line(int64_t bytes) { return (bytes + kLine - 1) / kLine * kLine; }

// Where things lie in the memory: what all share, then what each member has of its own.
struct Layout {
  int64_t element, shared, own;
  int64_t qkv, q, attended, delta, gate_up;      // shared
  int64_t sum, normalised, gated, low_rank, arranged, attend;  // a member's

  explicit Layout(const DecodeWork& work) {
    element = work.is_bf16 ? 2 : 4;
    const auto rows_of = [&](int64_t numbers) { return on_a_line(work.rows * numbers * element); };
    shared = own = 0;
    const auto place = [](int64_t& end, int64_t bytes) {
      end += bytes;
      return end - bytes;
    };
    const int64_t q_size = work.heads * work.head_dim;
    qkv = place(shared, rows_of(q_size + 2 * work.kv_heads * work.head_dim));
    q = place(shared, rows_of(q_size));
    attended = place(shared, rows_of(q_size));
    delta = place(shared, rows_of(work.hidden));
    gate_up = place(shared, rows_of(2 * work.intermediate));
    sum = place(own, rows_of(work.hidden));
    normalised = place(own, rows_of(work.hidden));
    gated = place(own, rows_of(work.intermediate));
    int64_t most = 0, most_numbers = 0;
    const auto count = [&](const DecodeLinear& linear) {
      most = std::max(most, linear.view.arranged_bytes({nullptr, linear.view.inner, work.rows}));
      int64_t numbers = 0;
      for (const auto& addition : linear.additions) numbers += addition.count * low_rank_stride(addition.matrices.ranks);
      most_numbers = std::max(most_numbers, numbers);
    };
    for (const auto& layer : work.layers) {
      for (const auto* linear : {&layer.qkv, &layer.o_proj, &layer.gate_up, &layer.down_proj}) count(*linear);
    }
    if (work.final_norm != nullptr) count(work.head);
    low_rank = place(own, on_a_line(most_numbers * 4));
    arranged = place(own, on_a_line(most));
    DecodeAttention attention{};
    attention.heads = work.heads;
    attention.kv_heads = work.kv_heads;
    attention.head_dim = work.head_dim;
    attend = place(own, on_a_line(work.kernels->attend_bytes(&attention, work.most_keys)));
  }
};

// One member's way through the layers.
class Pass {
 public:
  Pass(const DecodeWork& work, const Layout& layout, std::byte* memory, SpinTeam::Member& member)
      : work_(work),
        layout_(layout),
        kernels_(*work.kernels),
        member_(member),
        is_shared_(work.rows > 1 && member.members() > 1),
        shared_(memory),
        mine_(own_of(member.index())),
        near_(is_shared_ ? own_of(0) : mine_) {}

  // `is_stopped` is written by one member and read by all behind a barrier.
  void run(std::atomic<bool>& is_stopped) {
    const void *residual = work_.embeddings, *delta = nullptr;
    for (const auto& layer : work_.layers) {
      if (member_.index() == 0 && work_.cancellation->requested()) is_stopped.store(true, std::memory_order_relaxed);
      multiply(layer.qkv, normed(residual, delta, layer.input_norm), shared_ + layout_.qkv);
      if (is_stopped.load(std::memory_order_relaxed)) return;
      if (delta != nullptr) residual = near_ + layout_.sum;
      delta = shared_ + layout_.delta;
      attend(layer);
      multiply(layer.o_proj, {shared_ + layout_.attended, work_.heads * work_.head_dim, work_.rows}, shared_ + layout_.delta);
      multiply(layer.gate_up, normed(residual, delta, layer.post_attention_norm), shared_ + layout_.gate_up);
      residual = near_ + layout_.sum;
      multiply(layer.down_proj, gated(), shared_ + layout_.delta);
    }
    finish(residual, delta);
  }

 private:
  std::byte* own_of(int64_t member) const { return shared_ + layout_.shared + member * layout_.own; }

  // make(first, last) of rows in near_: of one row each member for itself, which costs less than meeting.
  template <typename Make>
  void for_rows(const Make& make) {
    if (is_shared_) {
      member_.share_out(work_.rows, make);
    } else {
      make(0, work_.rows);
    }
  }

  // RMSNorm(residual + delta); the sum is left in near_.
  ProductRows normed(const void* residual, const void* delta, const void* weight) {
    const NormRows rows{residual, delta, weight, near_ + layout_.sum, near_ + layout_.normalised, work_.hidden, work_.hidden, work_.eps,
                        work_.is_bf16};
    for_rows([&](int64_t first, int64_t last) { kernels_.add_rms_norm(&rows, first, last); });
    return {near_ + layout_.normalised, work_.hidden, work_.rows};
  }

  ProductRows gated() {
    const int64_t size = work_.intermediate;
    const GateRows rows{shared_ + layout_.gate_up, near_ + layout_.gated, size, 2 * size, work_.is_bf16};
    for_rows([&](int64_t first, int64_t last) { kernels_.swiglu(&rows, first, last); });
    return {near_ + layout_.gated, size, work_.rows};
  }

  // use(matrices with their x and out, addition, u of its rows) of each; `u` holds one behind another.
  template <typename Use>
  static void each_addition(const DecodeLinear& linear, const ProductRows& rows, void* out, float* u, const Use& use) {
    for (const auto& addition : linear.additions) {
      auto own = addition.matrices;
      const int64_t bytes = own.is_bf16 ? 2 : 4;
      own.x = static_cast<const std::byte*>(rows.x) + addition.begin * rows.stride * bytes;
      own.x_stride = rows.stride;
      own.out = static_cast<std::byte*>(out) + addition.begin * own.out_stride * bytes;
      use(own, addition, u);
      u += addition.count * low_rank_stride(own.ranks);
    }
  }

  void multiply(const DecodeLinear& linear, const ProductRows& rows, void* out) {
    const auto& view = linear.view;
    auto* const u = reinterpret_cast<float*>(near_ + layout_.low_rank);
    if (!linear.additions.empty()) {
      for_rows([&](int64_t first, int64_t last) {
        each_addition(linear, rows, out, u, [&](const CpuLowRank& own, const DecodeAddition& addition, float* its) {
          const int64_t begin = std::max(first - addition.begin, int64_t{0}), end = std::min(last - addition.begin, addition.count);
          if (begin < end) kernels_.project_low_rank(&own, its + begin * low_rank_stride(own.ranks), begin, end);
        });
      });
    }
    const int64_t together = view.group_rows(), groups = (rows.count + together - 1) / together;
    const bool shares_groups = is_shared_ && groups > 1;
    void* const arranged = (shares_groups ? own_of(0) : mine_) + layout_.arranged;
    const auto arrange = [&](int64_t begin, int64_t end) { view.arrange(rows, arranged, begin, end); };
    if (shares_groups) {
      member_.share_out(groups, arrange);
    } else {
      arrange(0, groups);
    }
    member_.share_out(view.blocks(), [&](int64_t begin, int64_t end) {
      view.multiply(rows, arranged, out, begin, end);
      each_addition(linear, rows, out, u, [&](const CpuLowRank& own, const DecodeAddition& addition, const float* its) {
        kernels_.expand_low_rank(&own, its, 0, addition.count, begin * kBlockRows, end * kBlockRows);
      });
    });
  }

  // Pairs of a row and a key head.
  void attend(const DecodeLayer& layer) {
    const int64_t dim = work_.head_dim;
    const RopeRows rope{shared_ + layout_.qkv, work_.cos,     work_.sin,      work_.slots,      shared_ + layout_.q, layer.keys,
                        layer.values,          work_.rows,    work_.heads,    work_.kv_heads,   dim,                 work_.key_head,
                        work_.key_slot,        work_.value_head, work_.value_slot, work_.is_bf16};
    const DecodeAttention attention{shared_ + layout_.q,
                                    layer.keys,
                                    layer.values,
                                    shared_ + layout_.attended,
                                    work_.block_table,
                                    work_.lengths,
                                    work_.block_size,
                                    work_.most_blocks,
                                    work_.heads,
                                    work_.kv_heads,
                                    dim,
                                    work_.rows * dim,
                                    dim,
                                    work_.key_head,
                                    work_.key_slot,
                                    work_.value_head,
                                    work_.value_slot,
                                    static_cast<float>(1 / std::sqrt(static_cast<double>(dim))),
                                    work_.is_bf16};
    member_.share_out(work_.rows * work_.kv_heads, [&](int64_t begin, int64_t end) {
      kernels_.rope_append(&rope, begin, end);
      kernels_.attend(&attention, mine_ + layout_.attend, begin, end);
    });
  }

  void finish(const void* residual, const void* delta) {
    // Without a head the sum alone is wanted, whatever it is then multiplied by.
    const void* const weight = work_.final_norm != nullptr ? work_.final_norm : work_.layers.back().post_attention_norm;
    const auto rows = normed(residual, delta, weight);
    if (member_.index() == 0) std::memcpy(work_.out, near_ + layout_.sum, static_cast<size_t>(work_.rows * work_.hidden * layout_.element));
    if (work_.final_norm != nullptr) multiply(work_.head, rows, work_.logits);
  }

  const DecodeWork& work_;
  const Layout& layout_;
  const RowKernels& kernels_;
  SpinTeam::Member& member_;
  const bool is_shared_;  // whether rows are shared out between the members, and what is made of them
  std::byte* const shared_;
  std::byte* const mine_;
  std::byte* const near_;  // where sums, norms, gates and x A^T lie: a member's own, or the first one's where rows are shared out
};

}  // namespace

int64_t decode_layers_bytes(const DecodeWork& work, int64_t members) {
  const Layout layout(work);
  return layout.shared + members * layout.own;
}

bool decode_layers(const DecodeWork& work, std::byte* memory, SpinTeam& team) {
  const Layout layout(work);
  std::atomic<bool> is_stopped{false};
  team.run([&](SpinTeam::Member& member) { Pass(work, layout, memory, member).run(is_stopped); });
  return !is_stopped.load(std::memory_order_relaxed);
}

}  // namespace facellm

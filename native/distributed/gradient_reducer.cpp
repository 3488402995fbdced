#include "distributed/gradient_reducer.h"

#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>

#include <algorithm>
#include <functional>

#include "core/error.h"

namespace facellm {
namespace {

struct Hook : torch::autograd::PostAccumulateGradHook {
  explicit Hook(std::function<void()> called) : run(std::move(called)) {}
  void operator()(const at::Tensor&) override { run(); }
  std::function<void()> run;
};

}  // namespace

GradientReducer::GradientReducer(std::shared_ptr<ProcessGroup> group, std::vector<at::Tensor> leaves,
                                 const std::vector<bool>& is_late, int64_t bucket_bytes)
    : group_(std::move(group)),
      leaves_(std::move(leaves)),
      place_(leaves_.size()),
      is_filled_(leaves_.size(), false) {
  // Gradients arrive last layer first. One dtype a bucket; late leaves behind all others.
  std::vector<size_t> order;
  for (size_t i = leaves_.size(); i-- > 0;) order.push_back(i);
  std::stable_partition(order.begin(), order.end(), [&](size_t i) { return !is_late[i]; });
  std::vector<size_t> members;
  int64_t bytes = 0;
  for (const size_t leaf : order) {
    const auto& tensor = leaves_[leaf];
    const auto own = static_cast<int64_t>(tensor.nbytes());
    if (!members.empty() && (bytes + own > bucket_bytes || is_late[leaf] != is_late[members[0]] ||
                             tensor.scalar_type() != leaves_[members[0]].scalar_type())) {
      add_bucket(members, is_late[members[0]]);
      members.clear();
      bytes = 0;
    }
    members.push_back(leaf);
    bytes += own;
  }
  if (!members.empty()) add_bucket(members, is_late[members[0]]);
  for (size_t leaf = 0; leaf < leaves_.size(); ++leaf) {
    torch::autograd::impl::set_post_acc_grad_hooks(
        leaves_[leaf], std::make_unique<Hook>([this, leaf] { on_gradient(leaf); }));
  }
}

GradientReducer::~GradientReducer() {
  for (const auto& leaf : leaves_) torch::autograd::impl::set_post_acc_grad_hooks(leaf, nullptr);
}

void GradientReducer::add_bucket(const std::vector<size_t>& leaves, bool is_late) {
  Bucket bucket;
  bucket.is_late = is_late;
  for (const size_t leaf : leaves) {
    place_[leaf] = {buckets_.size(), bucket.members.size()};
    bucket.members.push_back({leaf, bucket.size});
    bucket.size += leaves_[leaf].numel();
  }
  buckets_.push_back(std::move(bucket));
}

void GradientReducer::arm() {
  for (auto& bucket : buckets_) bucket.missing = bucket.members.size();
  std::fill(is_filled_.begin(), is_filled_.end(), false);
  next_ = 0;
  phase_ = Phase::kArmed;
}

void GradientReducer::pass_over(const std::vector<size_t>& leaves) {
  for (const size_t leaf : leaves) on_gradient(leaf);
}

void GradientReducer::on_gradient(size_t leaf) {
  if (phase_ != Phase::kArmed) return;
  const auto [index, member] = place_[leaf];
  auto& bucket = buckets_[index];
  if (bucket.is_late) return;
  if (is_filled_[leaf]) {
    throw Error(ErrorCode::kInternal, "a gradient came in two pieces and its bucket may have been sent");
  }
  is_filled_[leaf] = true;
  fill(bucket, bucket.members[member], member);
  if (--bucket.missing == 0) send_ready(false);
}

// Moves a gradient into its bucket; the leaf's own becomes a view of it, so that its memory is needed once.
void GradientReducer::fill(Bucket& bucket, const Member& member, size_t index) {
  const c10::NoGradGuard no_grad;
  const auto& leaf = leaves_[member.leaf];
  if (!bucket.flat.defined()) {
    const auto count = bucket.size + static_cast<int64_t>(bucket.members.size());
    bucket.flat = at::empty({count}, leaf.options().requires_grad(false));
    bucket.flat.narrow(0, bucket.size, count - bucket.size).zero_();
  }
  auto slot = bucket.flat.narrow(0, member.offset, leaf.numel()).view(leaf.sizes());
  if (!leaf.grad().defined()) {
    slot.zero_();
    return;
  }
  slot.copy_(leaf.grad());
  bucket.flat.select(0, bucket.size + static_cast<int64_t>(index)).fill_(1);
  leaf.mutable_grad() = slot;
}

void GradientReducer::send_ready(bool sends_all) {
  for (; next_ < buckets_.size(); ++next_) {
    auto& bucket = buckets_[next_];
    if (!sends_all && (bucket.is_late || bucket.missing > 0)) return;
    for (size_t i = 0; i < bucket.members.size(); ++i) {
      if (!is_filled_[bucket.members[i].leaf]) fill(bucket, bucket.members[i], i);
      is_filled_[bucket.members[i].leaf] = true;
    }
    bucket.pending = group_->all_reduce_sum(bucket.flat);
  }
}

void GradientReducer::flush() {
  if (phase_ == Phase::kAccumulating) arm();
  if (phase_ == Phase::kSent) return;
  send_ready(true);
  phase_ = Phase::kSent;
}

void GradientReducer::finish(const Cancellation& cancellation) {
  const c10::NoGradGuard no_grad;
  flush();
  for (auto& bucket : buckets_) {
    if (!bucket.pending) continue;
    group_->wait(*bucket.pending, cancellation);
    bucket.pending.reset();
    const auto counts = bucket.flat.narrow(0, bucket.size, static_cast<int64_t>(bucket.members.size()))
                            .to(at::kCPU, at::kFloat);
    for (size_t i = 0; i < bucket.members.size(); ++i) {
      const auto& leaf = leaves_[bucket.members[i].leaf];
      // A leaf that took part nowhere stays without a gradient: the optimizer then leaves it alone.
      const bool is_used = counts[static_cast<int64_t>(i)].item<float>() > 0;
      leaf.mutable_grad() = is_used ? bucket.flat.narrow(0, bucket.members[i].offset, leaf.numel())
                                          .view(leaf.sizes())
                                    : at::Tensor();
    }
    bucket.flat = at::Tensor();  // the gradients' views keep it until they are cleared
  }
}

void GradientReducer::reset() {
  for (auto& bucket : buckets_) {
    bucket.flat = at::Tensor();
    bucket.pending.reset();
  }
  phase_ = Phase::kAccumulating;
}

}  // namespace facellm

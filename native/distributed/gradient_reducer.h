// Sums gradients over the ranks in flat buckets, each sent as soon as the backward pass has filled it, so that
// transport and computation overlap (arXiv 2006.15704, without its averaging: losses are divided by counts of
// all ranks beforehand, so N processes take the step that one would).
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "core/cancellation.h"
#include "distributed/process_group.h"

namespace facellm {

class GradientReducer {
 public:
  // `leaves`: in the order of the forward pass, the same on every rank. `is_late[i]`: this leaf may receive
  // its gradient in several pieces, so that only the end of the pass says that it is whole.
  GradientReducer(std::shared_ptr<ProcessGroup> group, std::vector<at::Tensor> leaves,
                  const std::vector<bool>& is_late, int64_t bucket_bytes);
  ~GradientReducer();
  GradientReducer(const GradientReducer&) = delete;
  GradientReducer& operator=(const GradientReducer&) = delete;

  // Before the last backward pass of an update: from now on gradients are whole when they arrive.
  void arm();
  // In the place of the backward pass of a rank without samples: these leaves have got all that they will get.
  void pass_over(const std::vector<size_t>& leaves);
  // After the pass: sends what is left.
  void flush();
  // Waits; then every leaf's .grad is the sum, or undefined where no rank had one. Idempotent within an update.
  void finish(const Cancellation& cancellation);
  // Forgets this update's gradients that have not been sent.
  void reset();

  size_t bucket_count() const { return buckets_.size(); }
  size_t sent_count() const { return next_; }

 private:
  struct Member {
    size_t leaf;
    int64_t offset;  // elements
  };
  struct Bucket {
    std::vector<Member> members;
    at::Tensor flat;   // members' gradients, then one number a member: how many ranks had one
    int64_t size = 0;  // elements before those numbers
    size_t missing = 0;
    bool is_late = false;
    std::shared_ptr<Pending> pending;
  };
  enum class Phase { kAccumulating, kArmed, kSent };

  void add_bucket(const std::vector<size_t>& leaves, bool is_late);
  void on_gradient(size_t leaf);
  void fill(Bucket& bucket, const Member& member, size_t index);
  void send_ready(bool sends_all);

  std::shared_ptr<ProcessGroup> group_;
  std::vector<at::Tensor> leaves_;
  std::vector<Bucket> buckets_;
  std::vector<std::pair<size_t, size_t>> place_;  // of a leaf: bucket, member
  std::vector<bool> is_filled_;                   // by leaf, in this pass
  size_t next_ = 0;  // buckets go out in this order on every rank
  Phase phase_ = Phase::kAccumulating;
};

}  // namespace facellm

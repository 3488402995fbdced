// The processes of one training job and what they do together, over libtorch's own c10d: Gloo between CPUs,
// NCCL between GPUs, a TCPStore as the meeting place. Torch-free, for the binding's sake. Every rank calls the
// same collectives in the same order with the same shapes. A rank that is gone or has failed ends the job on
// all of them with one message: no call here waits for longer than it takes to notice (watcher.h).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/cancellation.h"
#include "core/error.h"

namespace at {
class Tensor;
}

namespace facellm {

struct GroupRequest {
  int64_t rank, size;
  std::string address;  // of the meeting place
  int64_t port;
  bool hosts_store;     // this process opens it; false: another rank does, or torchrun's agent has
  std::string prefix;   // of this attempt's keys: an agent's store outlives a restart
  std::string device;   // "cpu": Gloo; "cuda:N": NCCL
  double join_timeout_seconds;
};

// A collective under way. Dropping it does not stop it.
struct Pending;

class ProcessGroup {
 public:
  // Waits for all ranks. Throws kDistributed: no such backend in this build, the store cannot be reached or
  // opened, ranks that did not come in time, two processes of one rank; kCancelled.
  static std::shared_ptr<ProcessGroup> join(const GroupRequest& request,
                                            const Cancellation& cancellation);
  ~ProcessGroup();  // leaves
  ProcessGroup(const ProcessGroup&) = delete;
  ProcessGroup& operator=(const ProcessGroup&) = delete;

  int64_t rank() const;
  int64_t size() const;
  const std::string& backend() const;  // "gloo", "nccl"
  std::string device() const;          // "cpu", "cuda:0": its work belongs on this device's engine thread

  // Element by element over all ranks, the same bits on each.
  std::vector<double> sum(const std::vector<double>& values, const Cancellation& cancellation);
  // In place. Any dense tensor of the group's device.
  std::shared_ptr<Pending> all_reduce_sum(const at::Tensor& tensor);
  // `all` [size * n] receives every rank's `own` [n], in order of ranks.
  std::shared_ptr<Pending> all_gather(const at::Tensor& own, const at::Tensor& all);
  // Rank 0's values, to all.
  std::shared_ptr<Pending> broadcast(const at::Tensor& tensor);
  // Returns when the result may be read. Throws the job's failure as check() does, kCancelled.
  void wait(const Pending& pending, const Cancellation& cancellation);

  // Throws what has ended the job, if anything has: the code and message of the rank that failed, or
  // kDistributed naming ranks that are gone.
  void check() const;
  // Tells every rank that this one cannot go on. Returns at once, from any thread; the first failure of a job
  // is the one that all report. `code` is a name of the error tables.
  void fail(const std::string& code, const std::string& message) noexcept;
  // Ends membership; idempotent. A host waits, for seconds at most, until the others need its store no more.
  void leave() noexcept;

 private:
  struct State;
  explicit ProcessGroup(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Backends that this build holds, of "gloo" and "nccl".
std::vector<std::string> distributed_backends();

}  // namespace facellm

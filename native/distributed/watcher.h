// One thread a process that keeps a job from waiting for ranks that will not come. It beats in the job's
// store, posts this rank's own failure, reads that of others, and finds out who is gone: the next rank's
// silence is noticed after a minute; when a collective breaks, who has not beaten for two seconds since is.
#pragma once

#include <torch/csrc/distributed/c10d/Store.hpp>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "core/error.h"

namespace facellm {

class Watcher {
 public:
  // `store`: a connection of its own, so that a call that hangs hurts nobody else. `names` tell ranks to
  // people. `on_failure` runs once, on the watcher's thread, when the job has failed.
  Watcher(c10::intrusive_ptr<c10d::Store> store, int64_t rank, std::vector<std::string> names,
          bool hosts_store, std::function<void()> on_failure);
  ~Watcher();

  // The key whose presence says that a rank beats; joining sets it before the watcher starts.
  static std::string beat_key(int64_t rank);

  bool has_failed() const;
  // Throws the job's failure, if any; also where the store has not answered for a minute.
  void check() const;
  void post(const std::string& code, const std::string& message);
  // A collective has thrown `what`: the cause will stand in check() within seconds.
  void suspect(const std::string& what);
  // Ends the thread. The host of the store first waits until the others have read what they must.
  void leave();

 private:
  struct Failure {
    std::string code;
    std::string message;
    int64_t rank;  // that failed
  };
  using Clock = std::chrono::steady_clock;

  void run();
  void turn();
  void settle(Failure failure);
  void publish(const Failure& failure);
  void watch_next();
  void call_roll();
  void wait_for_others();
  std::string beat_of(int64_t rank);
  bool has_left(int64_t rank);
  void mark_left();

  const c10::intrusive_ptr<c10d::Store> store_;
  const int64_t rank_, size_;
  const std::vector<std::string> names_;
  const bool hosts_store_;
  const std::function<void()> on_failure_;

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  bool is_leaving_ = false;
  std::optional<Failure> to_post_;
  std::optional<std::string> suspicion_;
  std::optional<Failure> failure_;
  std::atomic<Clock::rep> last_turn_;

  // Of the thread alone.
  uint64_t beats_ = 0;
  bool has_marked_ = false;
  std::string next_beat_;
  Clock::time_point next_seen_;
  std::vector<std::string> roll_;  // beats when the collective broke
  Clock::time_point roll_began_;
  std::vector<int64_t> gone_;

  std::thread thread_;  // last: starts when all else is there
};

}  // namespace facellm

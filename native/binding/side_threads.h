// Threads beside the engine's, for work on pictures that neither waits for a model's steps nor holds them up. What
// runs here computes on its own thread alone.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace facellm {

class SideThreads {
 public:
  // The process's, half as many as it has cores, started on first use; the last holder, an environment, joins them.
  static std::shared_ptr<SideThreads> shared();
  ~SideThreads();
  SideThreads(const SideThreads&) = delete;
  SideThreads& operator=(const SideThreads&) = delete;

  // `job` must not throw.
  void post(std::function<void()> job);

 private:
  SideThreads();
  void loop();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> queue_;
  bool is_stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace facellm

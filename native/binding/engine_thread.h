// The one thread that runs model work, first come first served, shared by every JavaScript
// environment of the process: libtorch's thread team, guards and allocator belong to one thread, and
// Node's event loop and its pool stay free.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

namespace facellm {

class EngineThread {
 public:
  // The process's thread, started on first use; the last holder to let go joins it. Holders are
  // environments only: a job that held it could be the last, and would wait for itself.
  static std::shared_ptr<EngineThread> shared();
  ~EngineThread();
  EngineThread(const EngineThread&) = delete;
  EngineThread& operator=(const EngineThread&) = delete;

  // `job` must not throw.
  void post(uint64_t id, std::function<void()> job);
  // Takes a job that has not begun out of the queue. False if it runs or has run.
  bool remove(uint64_t id);

 private:
  EngineThread();
  void loop();

  struct Job {
    uint64_t id;
    std::function<void()> run;
  };
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Job> queue_;
  bool is_stopping_ = false;
  std::thread thread_;
};

}  // namespace facellm

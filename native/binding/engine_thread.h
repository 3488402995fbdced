// The one thread that runs a device's work, shared by every JavaScript environment of the process: libtorch's thread
// team, guards and allocator belong to one thread, and Node's event loop and its pool stay free. Jobs run first
// come first served; between two of them every model that has requests does one step, so that loading,
// training and answering on a device take turns. Devices do not wait for each other.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "core/work_source.h"

namespace facellm {

class EngineThread {
 public:
  // The process's thread for "cpu" or "cuda:N", started on first use; the last holder to let go joins it. Holders
  // are environments only: a job that held it could be the last, and would wait for itself.
  static std::shared_ptr<EngineThread> of(const std::string& device);
  ~EngineThread();
  EngineThread(const EngineThread&) = delete;
  EngineThread& operator=(const EngineThread&) = delete;

  // `job` must not throw.
  void post(uint64_t id, std::function<void()> job);
  // Takes a job that has not begun out of the queue. False if it runs or has run.
  bool remove(uint64_t id);
  // On this thread: `source` is stepped as long as it has something to do, and asked again after every notify().
  void attach(const std::shared_ptr<WorkSource>& source);
  // Something that a source waits for may have changed.
  void notify();

 private:
  EngineThread();
  void loop();
  bool step_sources();

  struct Job {
    uint64_t id;
    std::function<void()> run;
  };
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Job> queue_;
  bool is_stopping_ = false;
  bool is_notified_ = false;
  std::vector<std::weak_ptr<WorkSource>> sources_;  // this thread's
  std::thread thread_;
};

}  // namespace facellm

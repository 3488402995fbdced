#include "binding/engine_thread.h"

#include <algorithm>

#include "core/mkl_warm_up.h"

namespace facellm {

std::shared_ptr<EngineThread> EngineThread::shared() {
  static std::mutex mutex;
  static std::weak_ptr<EngineThread> current;
  const std::lock_guard lock(mutex);
  auto engine = current.lock();
  if (!engine) {
    engine.reset(new EngineThread);
    current = engine;
  }
  return engine;
}

EngineThread::EngineThread() : thread_([this] { loop(); }) {}

EngineThread::~EngineThread() {
  {
    const std::lock_guard lock(mutex_);
    is_stopping_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

void EngineThread::post(uint64_t id, std::function<void()> job) {
  {
    const std::lock_guard lock(mutex_);
    queue_.push_back({id, std::move(job)});
  }
  wake_.notify_one();
}

bool EngineThread::remove(uint64_t id) {
  Job removed;  // destroyed outside the lock: its captures may be large
  const std::lock_guard lock(mutex_);
  const auto found =
      std::find_if(queue_.begin(), queue_.end(), [&](const Job& job) { return job.id == id; });
  if (found == queue_.end()) return false;
  removed = std::move(*found);
  queue_.erase(found);
  return true;
}

void EngineThread::loop() {
  warm_up_mkl();
  for (;;) {
    Job job;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return is_stopping_ || !queue_.empty(); });
      // What is left in the queue still runs: it frees models, or finds its environment closed.
      if (queue_.empty()) return;
      job = std::move(queue_.front());
      queue_.pop_front();
    }
    job.run();
  }
}

}  // namespace facellm

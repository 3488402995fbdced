#include "binding/engine_thread.h"

#include <algorithm>
#include <map>

#include "core/mkl_warm_up.h"

namespace facellm {

std::shared_ptr<EngineThread> EngineThread::of(const std::string& device) {
  static std::mutex mutex;
  static std::map<std::string, std::weak_ptr<EngineThread>> threads;
  const std::lock_guard lock(mutex);
  auto& known = threads[device];
  auto engine = known.lock();
  if (!engine) {
    engine.reset(new EngineThread);
    known = engine;
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

void EngineThread::attach(const std::shared_ptr<WorkSource>& source) {
  for (const auto& known : sources_) {
    if (!known.owner_before(source) && !source.owner_before(known)) return;
  }
  sources_.push_back(source);
}

void EngineThread::notify() {
  {
    const std::lock_guard lock(mutex_);
    is_notified_ = true;
  }
  wake_.notify_one();
}

bool EngineThread::step_sources() {
  bool has_worked = false;
  // A model whose last request ends may be freed by that: not while it is stepped.
  for (size_t i = 0; i < sources_.size(); ++i) {
    if (const auto source = sources_[i].lock()) has_worked = source->step() || has_worked;
  }
  std::erase_if(sources_, [](const auto& source) { return source.expired(); });
  return has_worked;
}

void EngineThread::loop() {
  static std::once_flag is_warm;
  std::call_once(is_warm, warm_up_mkl);
  bool is_busy = false;
  for (;;) {
    Job job;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [&] { return is_busy || is_stopping_ || is_notified_ || !queue_.empty(); });
      is_notified_ = false;
      if (!queue_.empty()) {
        job = std::move(queue_.front());
        queue_.pop_front();
      } else if (is_stopping_) {
        // What is left in the queue has run: it freed models, or found its environment closed. Requests whose
        // environments have gone are dropped by the models' last steps.
        break;
      }
    }
    if (job.run) job.run();
    job = {};  // what it holds goes now, not when the next one comes
    is_busy = step_sources();
  }
  while (step_sources()) {
  }
}

}  // namespace facellm

#include "binding/side_threads.h"

#include <algorithm>

namespace facellm {

std::shared_ptr<SideThreads> SideThreads::shared() {
  static std::mutex mutex;
  static std::weak_ptr<SideThreads> current;
  const std::lock_guard lock(mutex);
  auto threads = current.lock();
  if (!threads) {
    threads.reset(new SideThreads);
    current = threads;
  }
  return threads;
}

SideThreads::SideThreads() {
  const auto count = std::max(std::thread::hardware_concurrency() / 2, 1U);
  for (unsigned i = 0; i < count; ++i) threads_.emplace_back([this] { loop(); });
}

SideThreads::~SideThreads() {
  {
    const std::lock_guard lock(mutex_);
    is_stopping_ = true;
  }
  wake_.notify_all();
  for (auto& thread : threads_) thread.join();
}

void SideThreads::post(std::function<void()> job) {
  {
    const std::lock_guard lock(mutex_);
    queue_.push_back(std::move(job));
  }
  wake_.notify_one();
}

void SideThreads::loop() {
  for (;;) {
    std::function<void()> job;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [&] { return is_stopping_ || !queue_.empty(); });
      if (queue_.empty()) return;
      job = std::move(queue_.front());
      queue_.pop_front();
    }
    job();
  }
}

}  // namespace facellm

#include "kernels/cpu/spin_team.h"

#include <chrono>

namespace facellm {
namespace {

// Longer than a phase's threads are apart on free processors, shorter than what a processor gives another process.
constexpr std::chrono::microseconds kSpin{20};
constexpr int kPausesAtOnce = 16;  // between looks at the clock

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace

SpinTeam::SpinTeam(int64_t members) {
  for (int64_t i = 1; i < members; ++i) threads_.emplace_back([this, i] { serve(i); });
}

SpinTeam::~SpinTeam() {
  is_ending_ = true;
  run_.fetch_add(1, std::memory_order_release);
  run_.notify_all();
  for (auto& thread : threads_) thread.join();
}

void SpinTeam::start(Call call, const void* work) {
  call_ = call;
  work_ = work;
  run_.fetch_add(1, std::memory_order_release);
  run_.notify_all();
  Member caller(*this, 0);
  call(work, caller);
  wait();  // or somebody might still be reading `work`
}

void SpinTeam::serve(int64_t index) {
  Member member(*this, index);
  for (uint32_t run = 0;;) {
    sleep_until_past(run_, run++);
    if (is_ending_) return;
    call_(work_, member);
    wait();
  }
}

void SpinTeam::wait() {
  const uint32_t epoch = epoch_.load(std::memory_order_relaxed);
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 < members()) return sleep_until_past(epoch_, epoch);
  arrived_.store(0, std::memory_order_relaxed);
  next_.store(0, std::memory_order_relaxed);
  ++barriers_;
  epoch_.fetch_add(1, std::memory_order_release);
  epoch_.notify_all();
}

void SpinTeam::sleep_until_past(const std::atomic<uint32_t>& epoch, uint32_t seen) {
  const auto until = std::chrono::steady_clock::now() + kSpin;
  do {
    for (int i = 0; i < kPausesAtOnce; ++i) {
      if (epoch.load(std::memory_order_acquire) != seen) return;
      pause();
    }
  } while (std::chrono::steady_clock::now() < until);
  if (epoch.load(std::memory_order_acquire) == seen) sleeps_.fetch_add(1, std::memory_order_relaxed);
  epoch.wait(seen, std::memory_order_acquire);
}

}  // namespace facellm

#include "kernels/cpu/spin_team.h"

#include <chrono>
#include <system_error>

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

// False where it took too long.
bool spin_until_past(const std::atomic<uint32_t>& epoch, uint32_t seen) {
  const auto until = std::chrono::steady_clock::now() + kSpin;
  do {
    for (int i = 0; i < kPausesAtOnce; ++i) {
      if (epoch.load(std::memory_order_acquire) != seen) return true;
      pause();
    }
  } while (std::chrono::steady_clock::now() < until);
  return false;
}

}  // namespace

SpinTeam::SpinTeam(int64_t members) {
  try {
    for (int64_t i = 1; i < members; ++i) threads_.emplace_back([this, i] { serve(i); });
  } catch (const std::system_error&) {
    // The system gives no more threads: those that there are do it.
  }
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
    if (!spin_until_past(run_, run)) run_.wait(run, std::memory_order_acquire);
    ++run;
    if (is_ending_) return;
    call_(work_, member);
    wait();
  }
}

void SpinTeam::wait() {
  const uint32_t epoch = epoch_.load(std::memory_order_relaxed);
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 < members()) {
    if (!spin_until_past(epoch_, epoch)) {
      sleeps_.fetch_add(1, std::memory_order_relaxed);
      epoch_.wait(epoch, std::memory_order_acquire);
    }
    return;
  }
  arrived_.store(0, std::memory_order_relaxed);
  next_.store(0, std::memory_order_relaxed);
  ++barriers_;
  epoch_.fetch_add(1, std::memory_order_release);
  epoch_.notify_all();
}

}  // namespace facellm

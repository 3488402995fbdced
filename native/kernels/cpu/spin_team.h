// Threads that compute one step together, phase behind phase, with some hundred barriers of less than a microsecond: libgomp's cost
// two and more, and its threads sleep or spin for all products alike. Who arrives early spins for a moment and then sleeps, so that on processors that
// are short of time nobody takes it from whom he waits for. Torch-free.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

namespace facellm {

class SpinTeam {
 public:
  // One of a team at work; lives for a run.
  class Member {
   public:
    int64_t index() const { return index_; }
    int64_t members() const { return team_.members(); }
    // Every member calls it: returns when all have, and shows each what the others wrote.
    void wait() { team_.wait(); }
    // Every member calls it, with the same count: work(begin, end) over [0, count) is computed between them, once each, then all wait.
    // Three eighths in equal shares, the rest by whoever is free: beside busy neighbours a member may be without its processor for
    // milliseconds, and all wait for what it has begun.
    template <typename Work>
    void share_out(int64_t count, const Work& work) {
      const int64_t fixed = count * 3 / 8, piece = std::max<int64_t>(1, (count - fixed) / 32);
      const int64_t begin = fixed * index_ / members(), end = fixed * (index_ + 1) / members();
      if (begin < end) work(begin, end);
      for (int64_t i = fixed + team_.take(piece); i < count; i = fixed + team_.take(piece)) work(i, std::min(i + piece, count));
      wait();
    }

   private:
    friend class SpinTeam;
    Member(SpinTeam& team, int64_t index) : team_(team), index_(index) {}

    SpinTeam& team_;
    int64_t index_;
  };

  // The thread that runs is one of `members`; the others are the team's own, and sleep between runs. Fewer where the system gives no more threads.
  explicit SpinTeam(int64_t members);
  ~SpinTeam();
  SpinTeam(const SpinTeam&) = delete;
  SpinTeam& operator=(const SpinTeam&) = delete;

  int64_t members() const { return static_cast<int64_t>(threads_.size()) + 1; }
  // work(member) by each member; returns when all have. One run at a time; work throws nothing.
  template <typename Work>
  void run(const Work& work) {
    start([](const void* own, Member& member) { (*static_cast<const Work*>(own))(member); }, &work);
  }
  // Barriers passed, and how often a member slept at one.
  int64_t barriers() const { return barriers_; }
  int64_t sleeps() const { return sleeps_.load(std::memory_order_relaxed); }

 private:
  using Call = void (*)(const void* work, Member& member);

  void start(Call call, const void* work);
  void serve(int64_t index);
  void wait();
  int64_t take(int64_t count) { return next_.fetch_add(count, std::memory_order_relaxed); }

  // What all write stands on lines of its own.
  alignas(64) std::atomic<uint32_t> run_{0};  // counts runs; what the team sleeps on between them
  alignas(64) std::atomic<uint32_t> epoch_{0};  // counts barriers
  alignas(64) std::atomic<int64_t> arrived_{0};
  alignas(64) std::atomic<int64_t> next_{0};  // of share_out(): zero at each barrier
  alignas(64) std::atomic<int64_t> sleeps_{0};
  int64_t barriers_ = 0;  // written by the last to arrive
  Call call_ = nullptr;
  const void* work_ = nullptr;
  bool is_ending_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace facellm

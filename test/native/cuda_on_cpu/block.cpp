// A block: its threads in turns, each until it waits for others, until all have ended.
#include <algorithm>
#include <numeric>
#include <utility>

#include "block.h"
#include "state.h"

namespace cuda_on_cpu {

constinit Current current;

uint3 thread_index() { return current.thread->index; }
uint3 block_index() { return running.block_index; }
dim3 block_size() { return running.launch->block; }
dim3 grid_size() { return running.launch->grid; }
int lane() { return current.thread->lane(); }

namespace {

void thread_main() {
  running.launch->call(running.launch->data);
  Outside outside;
  Thread& thread = outside.thread();
  thread.state = Thread::State::kDone;
  running.warps[thread.warp()].left |= 1u << thread.lane();
  suspend(thread);
  __builtin_unreachable();
}

void start_threads(int count) {
  const dim3 size = running.launch->block;
  running.threads.resize(std::max<size_t>(running.threads.size(), kMostThreads));
  running.warps.resize(32);
  for (auto& warp : running.warps) {
    warp.order.reset();
    warp.lanes = warp.left = 0;
    for (auto& gathering : warp.gatherings) gathering->mask = 0;
  }
  for (int i = 0; i < count; ++i) {
    auto& thread = running.threads[i];
    const auto n = static_cast<unsigned>(i);
    thread.number = i;
    thread.index = {n % size.x, n / size.x % size.y, n / (size.x * size.y)};
    thread.state = Thread::State::kReady;
    thread.begun.clear();
    thread.groups.clear();
    thread.fiber.start(&thread_main);
    running.warps[thread.warp()].lanes |= 1u << thread.lane();
  }
}

// No thread can go on. True: all wait at one barrier, and pass it.
bool pass_barrier(int count) {
  const Thread *at_barrier = nullptr, *elsewhere = nullptr, *in_warp = nullptr, *gone = nullptr;
  for (int i = 0; i < count; ++i) {
    const auto& thread = running.threads[i];
    if (thread.state == Thread::State::kDone) gone = &thread;
    if (thread.state == Thread::State::kInWarp) in_warp = &thread;
    if (thread.state != Thread::State::kAtBarrier) continue;
    (at_barrier == nullptr || is_same(at_barrier->site, thread.site) ? at_barrier : elsewhere) = &thread;
  }
  const auto fault = [](Fault kind, const Thread& waiting, std::string what, std::string how, const Thread& other) {
    running.finding = Finding{.fault = kind, .what = std::move(what), .thread = waiting.number, .site = waiting.site,
                              .how = std::move(how), .other_block = running.block, .other_thread = other.number,
                              .other_site = other.site};
    return false;
  };
  if (in_warp != nullptr) {
    const auto& warp = running.warps[in_warp->warp()];
    for (const auto& gathering : warp.gatherings) {
      if (gathering->mask != in_warp->mask) continue;
      const unsigned missing = gathering->mask & warp.lanes & ~gathering->arrived;
      const auto& absent = running.threads[in_warp->warp() * 32 + __builtin_ctz(missing)];
      const bool has_left = absent.state == Thread::State::kDone;
      return fault(Fault::kWarp, *in_warp, "waits for lanes of its mask that do not come",
                   has_left ? "has left the kernel" : "waits elsewhere", absent);
    }
  }
  if (elsewhere != nullptr) {
    return fault(Fault::kDivergence, *at_barrier, "waits at a barrier", "waits at another one", *elsewhere);
  }
  if (gone != nullptr) return fault(Fault::kDivergence, *at_barrier, "waits at a barrier", "has left the kernel", *gone);
  ++running.barriers;
  return true;
}

}  // namespace

std::mt19937_64& random_numbers() {
  static std::mt19937_64 generator;
  return generator;
}

void run_block() {
  const dim3 size = running.launch->block;
  const int count = static_cast<int>(size.x * size.y * size.z);
  running.barriers = 0;
  start_threads(count);
  std::vector<int> ready(count);
  std::iota(ready.begin(), ready.end(), 0);
  for (int done = 0; done < count;) {
    arrange(ready);
    for (const int i : ready) {
      current.thread = &running.threads[i];
      running.threads[i].fiber.resume();
      current.thread = nullptr;
      if (running.finding) return;
      if (running.threads[i].state == Thread::State::kDone) ++done;
    }
    const auto collect = [&](Thread::State state) {
      ready.clear();
      for (int i = 0; i < count; ++i) {
        if (running.threads[i].state == state) ready.push_back(i);
      }
    };
    collect(Thread::State::kReady);
    if (!ready.empty() || done == count) continue;
    if (!pass_barrier(count)) return;
    collect(Thread::State::kAtBarrier);
    for (const int i : ready) running.threads[i].state = Thread::State::kReady;
  }
}

void suspend(Thread& thread) { thread.fiber.suspend(); }

void stop(Thread& thread, Finding finding) {
  running.finding = std::move(finding);
  thread.state = Thread::State::kDone;
  suspend(thread);
  __builtin_unreachable();
}

void sync_block(Site site) {
  Outside outside;
  outside.thread().state = Thread::State::kAtBarrier;
  outside.thread().site = site;
  suspend(outside.thread());
}

}  // namespace cuda_on_cpu

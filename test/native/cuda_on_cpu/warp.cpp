// Warp functions: lanes that come together under a mask. And atomics, which need no order at all.
#include <cstring>

#include "memory.h"
#include "state.h"
#include "symbols.h"

namespace cuda_on_cpu {
namespace {

[[noreturn]] void fail(Thread& thread, std::string what, Site site) {
  stop(thread, {.fault = Fault::kWarp, .what = std::move(what), .thread = thread.number, .site = site});
}

Gathering& gathering_of(Warp& warp, unsigned mask) {
  Gathering* unused = nullptr;
  for (auto& one : warp.gatherings) {
    if (one->mask == mask) return *one;
    if (one->mask == 0) unused = one.get();
  }
  if (unused == nullptr) unused = warp.gatherings.emplace_back(std::make_unique<Gathering>()).get();
  unused->mask = mask;
  unused->arrived = 0;
  return *unused;
}

}  // namespace

const unsigned char* exchange(unsigned mask, const void* own, size_t bytes, Site site) {
  Outside outside;
  Thread& thread = outside.thread();
  Warp& warp = running.warps[thread.warp()];
  const unsigned me = 1u << thread.lane();
  if ((mask & me) == 0) fail(thread, "calls a warp function with a mask that leaves it out", site);
  // A block that does not fill its last warp may say "all"; another mask must mean what it says.
  if (mask != 0xffffffffu && (mask & ~warp.lanes) != 0) fail(thread, "names lanes that the block does not have", site);
  const unsigned wanted = mask & warp.lanes;
  if ((wanted & warp.left) != 0) {
    const int gone = thread.warp() * 32 + __builtin_ctz(wanted & warp.left);
    stop(thread, {.fault = Fault::kWarp, .what = "names a lane in its mask that does not come", .thread = thread.number,
                  .site = site, .how = "has left the kernel", .other_block = running.block, .other_thread = gone});
  }
  Gathering& gathering = gathering_of(warp, mask);
  auto& slots = gathering.slots[gathering.turn];
  if (gathering.arrived == 0) {
    gathering.site = site;
    slots.fill(0xff);
  } else if (!is_same(gathering.site, site)) {
    const int other = thread.warp() * 32 + __builtin_ctz(gathering.arrived);
    stop(thread, {.fault = Fault::kWarp, .what = "calls a warp function", .thread = thread.number, .site = site,
                  .how = "waits for it at another one", .other_block = running.block, .other_thread = other,
                  .other_site = gathering.site});
  }
  if (bytes > 0) std::memcpy(&slots[kMostLaneBytes * thread.lane()], own, bytes);
  gathering.arrived |= me;
  if (gathering.arrived != wanted) {
    thread.state = Thread::State::kInWarp;
    thread.site = site;
    thread.mask = mask;
    suspend(thread);
    return slots.data();
  }
  gathering.arrived = 0;
  gathering.turn ^= 1;
  // Only __syncwarp() orders memory: shuffles and votes do not (CUDA C++ Programming Guide, warp shuffle functions).
  if (bytes == 0) warp.order.meet(wanted, wanted == warp.lanes);
  for (int lane = 0; lane < 32; ++lane) {
    auto& other = running.threads[thread.warp() * 32 + lane];
    if ((wanted & ~me) >> lane & 1u) other.state = Thread::State::kReady;
  }
  return slots.data();
}

void require_lane(unsigned mask, int lane, Site site) {
  Outside outside;
  Thread& thread = outside.thread();
  const Warp& warp = running.warps[thread.warp()];
  if ((mask & warp.lanes) >> lane & 1u) return;
  fail(thread, "reads lane " + std::to_string(lane) + ", which takes no part", site);
}

template <typename T>
T atomic_update(T* p, T x, T (*change)(T old, T x)) {
  const uint32_t code = offset_of(__builtin_return_address(0));
  Outside outside;
  if (reinterpret_cast<uintptr_t>(p) % sizeof(T) != 0) {
    stop(outside.thread(), {.fault = Fault::kMisaligned, .what = "changes (atomic) " + std::to_string(sizeof(T)) + " bytes",
                            .thread = outside.thread().number, .code = code});
  }
  touch(outside.thread(), p, sizeof(T), Access::kAtomic, code);
  const T old = *p;
  *p = change(old, x);
  return old;
}
template int atomic_update(int*, int, int (*)(int, int));
template unsigned atomic_update(unsigned*, unsigned, unsigned (*)(unsigned, unsigned));
template unsigned long long atomic_update(unsigned long long*, unsigned long long,
                                          unsigned long long (*)(unsigned long long, unsigned long long));
template float atomic_update(float*, float, float (*)(float, float));
template double atomic_update(double*, double, double (*)(double, double));

}  // namespace cuda_on_cpu

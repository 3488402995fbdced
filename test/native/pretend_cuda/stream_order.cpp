#include "stream_order.h"

#include <algorithm>
#include <mutex>
#include <string>

#include "device_memory.h"
#include "device_state.h"

namespace pretend_cuda {
namespace {

struct Uses {
  int64_t owner;
  Clock read, written;  // by stream, the last time
};

struct State {
  std::mutex mutex;
  int64_t now = 0;
  std::map<const void*, Uses> allocations;
  std::map<int64_t, Clock> known;  // by stream
  Clock of_host;                   // known by whatever is begun from now on
  int64_t all_known = 0;           // of all streams
};
State& state() {
  static State& only = *new State;  // outlives every tensor
  return only;
}

int64_t name_of(const c10::Stream& stream) { return stream.id() * kDevices + stream.device_index(); }

int64_t at(const Clock& clock, int64_t stream) {
  const auto found = clock.find(stream);
  return found == clock.end() ? 0 : found->second;
}

void join(Clock& own, const Clock& other) {
  for (const auto& [stream, moment] : other) own[stream] = std::max(own[stream], moment);
}

// "": all of `uses` by other streams come before what `stream` does now.
std::string unordered(State& s, int64_t stream, const Clock& uses) {
  for (const auto& [other, moment] : uses) {
    if (other == stream || moment <= std::max({at(s.known[stream], other), at(s.of_host, other), s.all_known})) continue;
    return "stream " + std::to_string(other / kDevices) + " of cuda:" + std::to_string(other % kDevices);
  }
  return "";
}

}  // namespace

void note_use(const void* p, Use use) {
  const int device = device_of(p);
  if (device < 0) return;
  const int64_t own = name_of(current_stream(static_cast<c10::DeviceIndex>(device)));
  const void* const begin = begin_of(p);
  State& s = state();
  std::string fault;
  {
    const std::lock_guard lock(s.mutex);
    const auto found = s.allocations.find(begin);
    if (found == s.allocations.end()) return;
    auto& [_, uses] = *found;
    if (const auto writer = unordered(s, own, uses.written); !writer.empty()) fault = " what " + writer + " writes";
    if (const auto reader = unordered(s, own, uses.read); use == Use::kWrite && !reader.empty()) fault = " what " + reader + " reads";
    (use == Use::kRead ? uses.read : uses.written)[own] = ++s.now;
  }
  if (fault.empty()) return;
  complain("stream " + std::to_string(own / kDevices) + (use == Use::kRead ? " reads" : " writes") + fault +
           ", and has not waited for it: " + describe(p));
}

void note_allocated(const void* begin, int device) {
  if (begin == nullptr) return;
  const int64_t own = name_of(current_stream(static_cast<c10::DeviceIndex>(device)));
  State& s = state();
  const std::lock_guard lock(s.mutex);
  s.allocations[begin] = {own, {}, {{own, ++s.now}}};
}

void note_freed(const void* begin) {
  State& s = state();
  std::string user;
  {
    const std::lock_guard lock(s.mutex);
    const auto found = s.allocations.find(begin);
    if (found == s.allocations.end()) return;
    Clock all = found->second.read;
    join(all, found->second.written);
    user = unordered(s, found->second.owner, all);
    s.allocations.erase(found);
  }
  if (!user.empty()) complain("memory is freed while " + user + ", which is not its own, may still use it: " + describe(begin));
}

Clock clock_of(const c10::Stream& stream) {
  const int64_t own = name_of(stream);
  State& s = state();
  const std::lock_guard lock(s.mutex);
  Clock clock = s.known[own];
  join(clock, s.of_host);
  clock[own] = s.now;
  return clock;
}

void stream_waits(const c10::Stream& stream, const Clock& clock) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  join(s.known[name_of(stream)], clock);
}

void host_waits(const Clock& clock) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  join(s.of_host, clock);
}

bool host_knows(const Clock& clock) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  return std::ranges::all_of(clock, [&](const auto& entry) { return entry.second <= std::max(at(s.of_host, entry.first), s.all_known); });
}

void host_waits_for_all() {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  s.all_known = s.now;
}

}  // namespace pretend_cuda

// The device to libtorch: allocator, guard with streams and events, hooks. A CPU libtorch has room for one of each under its
// CUDA key, and nobody in it.
#include "device_state.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstring>

#include "device_memory.h"
#include "graph.h"
#include "record.h"
#include "stream_order.h"

namespace pretend_cuda {
namespace {

thread_local c10::DeviceIndex the_device = 0;
thread_local std::array<c10::StreamId, kDevices> the_streams{};
std::atomic<c10::StreamId> next_stream{1};

struct Event {
  int64_t copies, operations;  // so many were begun before it
  std::chrono::steady_clock::time_point time;
  bool is_timed;
  Clock clock;
  int queries = 0;  // that are still to find it under way
};
std::atomic<int> queries_before_done{0};

void require(c10::DeviceIndex device) {
  TORCH_CHECK(device >= 0 && device < kDevices, "CUDA error: invalid device ordinal");
}

void wait_for_all(const char* reason) {
  finish_copies(last_copy(), reason);
  host_waits_for_all();
}

struct DeviceAllocator final : c10::Allocator {
  c10::DataPtr allocate(size_t bytes) override {
    void* const p = pretend_cuda::allocate(bytes, the_device);
    const auto free = keep_for_recording(p) ? [](void*) {} : &release;
    return {p, p, free, c10::Device(c10::kCUDA, the_device)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &release; }
  void copy_data(void* to, const void* from, size_t bytes) const override {
    std::memcpy(host_alias(to), host_alias(from), bytes);
  }
};

struct Guard final : c10::impl::DeviceGuardImplInterface {
  Guard() = default;
  explicit Guard(c10::DeviceType) {}
  static constexpr c10::DeviceType static_type = c10::kCUDA;  // asked for by the registration

  c10::DeviceType type() const override { return c10::kCUDA; }
  c10::DeviceIndex deviceCount() const noexcept override { return kDevices; }
  c10::Device getDevice() const override { return {c10::kCUDA, the_device}; }
  void setDevice(c10::Device device) const override { set_current_device(device.index()); }
  void uncheckedSetDevice(c10::Device device) const noexcept override { the_device = device.index(); }
  c10::Device exchangeDevice(c10::Device device) const override {
    const auto before = getDevice();
    setDevice(device);
    return before;
  }

  c10::Stream getStream(c10::Device device) const override { return current_stream(device.index()); }
  c10::Stream getDefaultStream(c10::Device device) const override { return c10::Stream(c10::Stream::DEFAULT, device); }
  c10::Stream getNewStream(c10::Device device, int) const override { return c10::Stream(c10::Stream::UNSAFE, device, next_stream++); }
  c10::Stream getStreamFromGlobalPool(c10::Device device, bool) const override { return getNewStream(device, 0); }
  c10::Stream exchangeStream(c10::Stream stream) const override {
    const auto before = current_stream(stream.device_index());
    the_streams[stream.device_index()] = stream.id();
    return before;
  }
  bool queryStream(const c10::Stream&) const override { return true; }
  void synchronizeStream(const c10::Stream& stream) const override {
    finish_copies(last_copy(), "stream");
    host_waits(clock_of(stream));
  }
  void synchronizeDevice(c10::DeviceIndex) const override { wait_for_all("device"); }

  void record(void** event, const c10::Stream& stream, c10::DeviceIndex, c10::EventFlag flag) const override {
    if (*event == nullptr) *event = new Event;
    *static_cast<Event*>(*event) = {last_copy(), begun_operations(), std::chrono::steady_clock::now(),
                                    flag == c10::EventFlag::BACKEND_DEFAULT, clock_of(stream), queries_before_done};
  }
  void block(void* event, const c10::Stream& stream) const override {
    if (event != nullptr) stream_waits(stream, static_cast<Event*>(event)->clock);
  }
  bool queryEvent(void* event) const override {
    auto* const own = static_cast<Event*>(event);
    if (own == nullptr || host_knows(own->clock)) return true;
    if (own->queries-- > 0) return false;
    host_waits(own->clock);
    return true;
  }
  void synchronizeEvent(void* event) const override {
    if (event == nullptr) return;
    const auto& own = *static_cast<Event*>(event);
    // While the host waits for it the device has more to do.
    finish_copies(own.copies, begun_operations() > own.operations ? "event, with work behind it" : "event");
    host_waits(own.clock);
  }
  double elapsedTime(void* begin, void* end, c10::DeviceIndex) const override {
    const auto &from = *static_cast<Event*>(begin), &to = *static_cast<Event*>(end);
    TORCH_CHECK(from.is_timed && to.is_timed, "CUDA error: invalid resource handle");  // made without timing
    return std::chrono::duration<double, std::milli>(to.time - from.time).count();
  }
  void destroyEvent(void* event, c10::DeviceIndex) const noexcept override { delete static_cast<Event*>(event); }
};

struct Hooks final : at::CUDAHooksInterface {
  explicit Hooks(at::CUDAHooksArgs) {}
  void init() const override {}
  bool hasCUDA() const override { return true; }
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  bool hasPrimaryContext(c10::DeviceIndex) const override { return true; }
  int getNumGPUs() const override { return kDevices; }
  c10::DeviceIndex deviceCount() const override { return kDevices; }
  c10::DeviceIndex current_device() const override { return the_device; }
  c10::DeviceIndex getCurrentDevice() const override { return the_device; }
  void setCurrentDevice(c10::DeviceIndex device) const override { set_current_device(device); }
  c10::DeviceIndex exchangeDevice(c10::DeviceIndex device) const override {
    const auto before = the_device;
    set_current_device(device);
    return before;
  }
  c10::DeviceIndex maybeExchangeDevice(c10::DeviceIndex device) const override { return exchangeDevice(device); }
  c10::Device getDeviceFromPtr(void* p) const override {
    return {c10::kCUDA, static_cast<c10::DeviceIndex>(device_of(p))};
  }
  c10::Allocator* getPinnedMemoryAllocator() const override { return pinned_allocator(); }
  c10::Allocator* getCUDADeviceAllocator() const override { return device_allocator(); }
  // The numbers are the CPU's: operators that draw are computed there.
  const at::Generator& getDefaultGenerator(c10::DeviceIndex) const override { return at::detail::getDefaultCPUGenerator(); }
  at::Generator getNewGenerator(c10::DeviceIndex) const override { return at::detail::createCPUGenerator(); }
  bool isPinnedPtr(const void* p) const override { return is_pinned(p); }
  void deviceSynchronize(c10::DeviceIndex) const override { wait_for_all("device"); }
};

const int has_allocator = [] {
  c10::SetAllocator(c10::kCUDA, device_allocator(), 1);
  return 0;
}();

}  // namespace

void finish_events_after(int queries) { queries_before_done = queries; }

c10::DeviceIndex current_device() { return the_device; }

void set_current_device(c10::DeviceIndex device) {
  require(device);
  the_device = device;
}

c10::Stream current_stream(c10::DeviceIndex device) {
  if (device < 0) device = the_device;
  return c10::Stream(c10::Stream::UNSAFE, c10::Device(c10::kCUDA, device), the_streams[device]);
}

void* native_stream(const c10::Stream& stream) {
  return reinterpret_cast<void*>((uintptr_t{1} << 48) + (static_cast<uintptr_t>(stream.id()) << 8) +
                                 static_cast<uintptr_t>(stream.device_index()) * 16);
}

c10::Allocator* device_allocator() {
  static DeviceAllocator& only = *new DeviceAllocator;
  return &only;
}

C10_REGISTER_GUARD_IMPL(CUDA, Guard)

}  // namespace pretend_cuda

namespace at {
using PretendCudaHooks = pretend_cuda::Hooks;
C10_REGISTER_CLASS(CUDAHooksRegistry, CUDAHooks, PretendCudaHooks)
}  // namespace at

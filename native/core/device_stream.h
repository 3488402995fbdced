// A stream of one's own on a GPU, current within a scope: work of several models does not wait for each other's, and steps
// can be captured as graphs, which the default stream cannot. On a CPU nothing.
#pragma once

#include <c10/core/Device.h>
#include <c10/core/Stream.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <optional>

namespace facellm {

class DeviceStream {
 public:
  // What was begun before on the device is waited for: it was on another stream.
  explicit DeviceStream(c10::Device device) : device_(device) {
    if (device.is_cpu()) return;
    const c10::impl::VirtualGuardImpl guard(device.type());
    guard.synchronizeDevice(device.index());
    stream_ = guard.getStreamFromGlobalPool(device);
  }

  class [[nodiscard]] Scope {
   public:
    explicit Scope(const DeviceStream& own) : own_(own) {
      if (!own.stream_) return;
      const c10::impl::VirtualGuardImpl guard(own.device_.type());
      device_before_ = guard.exchangeDevice(own.device_);
      stream_before_ = guard.exchangeStream(*own.stream_);
    }
    ~Scope() {
      if (!own_.stream_) return;
      const c10::impl::VirtualGuardImpl guard(own_.device_.type());
      (void)guard.exchangeStream(*stream_before_);
      guard.uncheckedSetDevice(*device_before_);
    }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    const DeviceStream& own_;
    std::optional<c10::Device> device_before_;
    std::optional<c10::Stream> stream_before_;
  };
  Scope enter() const { return Scope(*this); }

  // The host waits for what was begun on it. Of a GPU that has failed nothing is said: who asks it for something next is told so.
  void wait() const noexcept {
    if (!stream_) return;
    try {
      c10::impl::VirtualGuardImpl(device_.type()).synchronizeStream(*stream_);
    } catch (...) {
    }
  }

 private:
  c10::Device device_;
  std::optional<c10::Stream> stream_;
};

}  // namespace facellm

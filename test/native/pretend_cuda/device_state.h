// Which device and stream a thread is on, and what of its copies may still be under way.
#pragma once

#include <c10/core/Allocator.h>
#include <c10/core/Device.h>
#include <c10/core/Stream.h>

#include <cstdint>

#include "pretend_cuda.h"

namespace pretend_cuda {

c10::DeviceIndex current_device();
void set_current_device(c10::DeviceIndex device);
c10::Stream current_stream(c10::DeviceIndex device);
// What CUDA code would call the stream: never null, and another for each.
void* native_stream(const c10::Stream& stream);

class OnDevice {
 public:
  explicit OnDevice(c10::DeviceIndex device) : before_(current_device()) { set_current_device(device); }
  ~OnDevice() { set_current_device(before_); }
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;

 private:
  c10::DeviceIndex before_;
};

// Of the current device.
c10::Allocator* device_allocator();

// pending.cpp: copies that a GPU would still be busy with. All are done when the call returns; but until the host has waited, a
// pinned source must stay as it is, and a pinned target holds nothing yet.
c10::Allocator* pinned_allocator();
bool is_pinned(const void* p);
void begin_upload(const void* source, size_t bytes);
void begin_download(void* target, const void* bytes, size_t count);
void finish_download_of(const void* source, size_t bytes);  // the stream's order: what is sent on has arrived
int64_t last_copy();
// The host waits for all copies up to this one.
void finish_copies(int64_t last, const char* reason);

}  // namespace pretend_cuda

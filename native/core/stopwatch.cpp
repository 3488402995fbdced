#include "core/stopwatch.h"

#include <c10/core/impl/VirtualGuardImpl.h>

namespace facellm {

Stopwatch::Lap::Lap(Stopwatch& watch, double& milliseconds) : watch_(watch), index_(watch.records_.size()) {
  Record record;
  record.milliseconds = &milliseconds;
  watch.mark(record);
  record.begin = record.end;
  watch.records_.push_back(std::move(record));
}

Stopwatch::Lap::~Lap() {
  auto& record = watch_.records_[index_];
  try {
    watch_.mark(record);
    record.has_ended = true;
  } catch (...) {
    // The GPU failed; who asks it for something next is told so. This lap is left out.
  }
}

void Stopwatch::mark(Record& record) {
  if (device_.is_cpu()) {
    record.end = Clock::now();
    return;
  }
  auto& event = record.events.emplace_back(device_.type(), c10::EventFlag::BACKEND_DEFAULT);
  event.record(c10::impl::VirtualGuardImpl(device_.type()).getStream(device_));
}

void Stopwatch::read() {
  for (const auto& record : records_) {
    if (!record.has_ended) continue;
    if (device_.is_cpu()) {
      *record.milliseconds += std::chrono::duration<double, std::milli>(record.end - record.begin).count();
    } else {
      record.events[1].synchronize();
      *record.milliseconds += record.events[0].elapsedTime(record.events[1]);
    }
  }
  records_.clear();
}

}  // namespace facellm

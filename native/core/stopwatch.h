// How long the stages of a request took. On the CPU by the clock; on a GPU, where a call returns before its work is done, by
// events recorded on the stream between the stages, so that each is charged its own work and nothing waits for it.
#pragma once

#include <c10/core/Device.h>
#include <c10/core/Event.h>

#include <chrono>
#include <vector>

namespace facellm {

class Stopwatch {
 public:
  explicit Stopwatch(c10::Device device) : device_(device) {}
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;

  // A stage: from here to the end of the scope. Several may name the same counter.
  class [[nodiscard]] Lap {
   public:
    Lap(Stopwatch& watch, double& milliseconds);
    ~Lap();
    Lap(const Lap&) = delete;
    Lap& operator=(const Lap&) = delete;

   private:
    Stopwatch& watch_;
    size_t index_;
  };
  Lap lap(double& milliseconds) { return Lap(*this, milliseconds); }

  // Adds every ended lap to its counter, which must still be where it was. Once, when the request is done: on a GPU waits
  // for the last lap's work.
  void read();

 private:
  using Clock = std::chrono::steady_clock;
  struct Record {
    double* milliseconds;
    Clock::time_point begin, end;       // on the CPU
    std::vector<c10::Event> events;     // on a GPU: begin, end
    bool has_ended = false;
  };
  void mark(Record& record);

  c10::Device device_;
  std::vector<Record> records_;
};

}  // namespace facellm

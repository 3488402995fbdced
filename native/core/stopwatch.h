// Adds the wall-clock milliseconds of a scope to a counter. On a GPU the scope must end with a
// synchronising operation for the figure to mean anything; `synchronise` is that operation.
#pragma once

#include <chrono>

namespace facellm {

class Stopwatch {
 public:
  explicit Stopwatch(double& milliseconds) : milliseconds_(milliseconds) {}
  ~Stopwatch() {
    const auto elapsed = std::chrono::steady_clock::now() - start_;
    milliseconds_ += std::chrono::duration<double, std::milli>(elapsed).count();
  }
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;

 private:
  double& milliseconds_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace facellm

// Work on a GPU, recorded once and started again by one call: the same kernels on the same addresses.
#pragma once

#include <functional>
#include <memory>

namespace facellm {

class DeviceGraph {
 public:
  // Records what `work` puts on the current stream, which is not the default one; nothing of it runs. What `work` allocates
  // stays the graph's; graphs that never run at once may share that memory (`sharing`). Throws kDeviceNoCuda without CUDA.
  DeviceGraph(const std::function<void()>& work, const DeviceGraph* sharing);
  ~DeviceGraph();
  DeviceGraph(const DeviceGraph&) = delete;
  DeviceGraph& operator=(const DeviceGraph&) = delete;

  void replay();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace facellm

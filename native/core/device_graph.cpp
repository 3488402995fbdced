#include "core/device_graph.h"

#include "core/error.h"

#if FACELLM_CUDA
#include <ATen/cuda/CUDAGraph.h>
#endif

namespace facellm {

#if FACELLM_CUDA
struct DeviceGraph::State {
  at::cuda::CUDAGraph graph;
};

DeviceGraph::DeviceGraph(const std::function<void()>& work, const DeviceGraph* sharing) : state_(std::make_unique<State>()) {
  auto& graph = state_->graph;
  // What other threads do meanwhile does not end the recording.
  constexpr auto kMode = cudaStreamCaptureModeThreadLocal;
  if (sharing != nullptr) {
    graph.capture_begin(sharing->state_->graph.pool(), kMode);
  } else {
    graph.capture_begin({0, 0}, kMode);
  }
  try {
    work();
  } catch (...) {
    try {
      graph.capture_end();
    } catch (...) {
      // The recording is void already; what went wrong first is told.
    }
    throw;
  }
  graph.capture_end();
}

void DeviceGraph::replay() { state_->graph.replay(); }
#else
struct DeviceGraph::State {};

DeviceGraph::DeviceGraph(const std::function<void()>&, const DeviceGraph*) {
  throw Error(ErrorCode::kDeviceNoCuda, "graphs: this build has no CUDA");
}

void DeviceGraph::replay() {}
#endif

DeviceGraph::~DeviceGraph() = default;

}  // namespace facellm

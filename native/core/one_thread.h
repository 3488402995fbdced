// Torch-free. For threads beside the engine's that compute with libtorch.
#pragma once

namespace facellm {

// What the calling thread computes stays on it, while this lives: OpenMP keeps its number of threads for each thread
// by itself, and at::set_num_threads() would also change what later threads begin with.
class OneThread {
 public:
  OneThread();
  ~OneThread();
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int before_;
};

}  // namespace facellm

#include "distributed/backend.h"

#include <torch/version.h>

#include <chrono>
#include <cstdlib>

#include "core/error.h"
#include "distributed/process_group.h"
#if FACELLM_GLOO
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#endif
#if FACELLM_NCCL
#include <c10/cuda/CUDAFunctions.h>
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>
#endif

namespace facellm {
namespace {

// Ranks that are gone are noticed by the watcher within seconds. This bound only ends a rank that lives and
// never comes; it must outlast rank 0's writing of a large checkpoint to a slow disk.
constexpr auto kCollectiveTimeout = std::chrono::hours(2);

#if FACELLM_GLOO
c10::intrusive_ptr<c10d::Backend> make_gloo(const c10::intrusive_ptr<c10d::Store>& store, int rank,
                                            int size, const std::string& address) {
  using c10d::ProcessGroupGloo;
  auto options = ProcessGroupGloo::Options::create(kCollectiveTimeout);
  const char* interface = std::getenv("GLOO_SOCKET_IFNAME");  // as torch.distributed reads it
  if (interface != nullptr && *interface != '\0') {
    options->devices.push_back(ProcessGroupGloo::createDeviceForInterface(interface));
  } else if (address == "localhost" || address.starts_with("127.")) {
    // A job of one machine: whatever its hostname resolves to.
    options->devices.push_back(ProcessGroupGloo::createDeviceForHostname("127.0.0.1"));
  } else {
    options->devices.push_back(ProcessGroupGloo::createDefaultDevice());
  }
  return c10::make_intrusive<ProcessGroupGloo>(store, rank, size, options);
}
#endif

#if FACELLM_NCCL
c10::intrusive_ptr<c10d::Backend> make_nccl(const c10::intrusive_ptr<c10d::Store>& store, int rank,
                                            int size, at::Device device) {
  // Whatever asks for "the current GPU" on this thread means this rank's.
  c10::cuda::set_device(device.index());
  auto options = c10d::ProcessGroupNCCL::Options::create();
  options->timeout = kCollectiveTimeout;
  return c10::make_intrusive<c10d::ProcessGroupNCCL>(store, rank, size, options);
}
#endif

}  // namespace

std::vector<std::string> distributed_backends() {
  return {
#if FACELLM_GLOO
      "gloo",
#endif
#if FACELLM_NCCL
      "nccl",
#endif
  };
}

std::string backend_for(at::Device device) {
  const std::string wanted = device.is_cuda() ? "nccl" : "gloo";
  for (const auto& name : distributed_backends()) {
    if (name == wanted) return name;
  }
  throw Error(ErrorCode::kDistributed,
              device.is_cuda()
                  ? "this build has no NCCL: install torch's nvidia-nccl package beside it, run `npx facellm "
                    "build --force`, or train on one GPU"
                  : "this build has no Gloo: install its headers (Debian: apt-get install libgloo-dev), run "
                    "`npx facellm build --force`, or train in one process");
}

c10::intrusive_ptr<c10d::Backend> make_backend([[maybe_unused]] const c10::intrusive_ptr<c10d::Store>& store,
                                               [[maybe_unused]] int rank, [[maybe_unused]] int size,
                                               at::Device device,
                                               [[maybe_unused]] const std::string& address) {
  const auto name = backend_for(device);
#if FACELLM_GLOO
  if (name == "gloo") return make_gloo(store, rank, size, address);
#endif
#if FACELLM_NCCL
  if (name == "nccl") return make_nccl(store, rank, size, device);
#endif
  throw Error(ErrorCode::kInternal, "no constructor for backend " + name);
}

c10::intrusive_ptr<c10d::Work> all_gather_flat(c10d::Backend& backend, at::Tensor& all, at::Tensor& own) {
#if TORCH_VERSION_MINOR >= 14
  return backend.all_gather_single(all, own);
#else
  return backend._allgather_base(all, own);
#endif
}

}  // namespace facellm

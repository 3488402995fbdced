// The transport of a process group: c10d's Gloo for CPU tensors, its NCCL for CUDA tensors, where the build
// holds them.
#pragma once

#include <ATen/ATen.h>
#include <torch/csrc/distributed/c10d/Backend.hpp>
#include <torch/csrc/distributed/c10d/Store.hpp>

#include <string>

namespace facellm {

// "gloo" or "nccl". Throws kDistributed with the remedy where this build lacks it.
std::string backend_for(at::Device device);

// Meets the other ranks through `store`; `address` is that of the meeting place.
c10::intrusive_ptr<c10d::Backend> make_backend(const c10::intrusive_ptr<c10d::Store>& store, int rank,
                                               int size, at::Device device,
                                               const std::string& address);

// c10d renamed this virtual in libtorch 2.14.
c10::intrusive_ptr<c10d::Work> all_gather_flat(c10d::Backend& backend, at::Tensor& all, at::Tensor& own);

}  // namespace facellm

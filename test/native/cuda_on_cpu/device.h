// What a running thread asks of the emulation; include/ gives it CUDA's names. Where threads wait for each other they
// hand in where they stand, so that it can be told whether they mean the same.
#pragma once

#include <cstddef>
#include <cstdint>
#include <source_location>

// As in CUDA's vector_types.h.
struct uint3 {
  unsigned x, y, z;
};
struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

namespace cuda_on_cpu {

using Site = std::source_location;

uint3 thread_index();
uint3 block_index();
dim3 block_size();
dim3 grid_size();
int lane();
void* dynamic_shared();

void sync_block(Site site);

// Every lane of `mask` hands in up to kMostLaneBytes and gets what all have handed in, kMostLaneBytes apart.
constexpr size_t kMostLaneBytes = 64;
const unsigned char* exchange(unsigned mask, const void* own, size_t bytes, Site site);
// For those that read one lane's contribution: it must be of the mask, and alive.
void require_lane(unsigned mask, int lane, Site site);

// The old value; atomics do not race with each other.
template <typename T>
T atomic_update(T* p, T x, T (*change)(T old, T x));

// See native/kernels/common/instructions.cuh.
void copy_async(void* shared, const void* global, int bytes, int valid);
void copy_async_commit();
void copy_async_wait(int groups_left);
void ldmatrix_x4(uint32_t (&out)[4], const void* row, bool is_transposed, Site site);
void mma_m16n8k16(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], Site site);

struct Argument;
// Runs `call(data)`, a kernel with its arguments, for every thread. Returns a cudaError_t.
struct Launch {
  const void* kernel;
  void (*call)(void* data);
  void* data;
  size_t data_bytes;
  dim3 grid, block;
  size_t dynamic_shared;
  void* stream;
  const Argument* arguments;
  size_t argument_count;
};
int run(const Launch& launch);
int allow_dynamic_shared(const void* kernel, int64_t bytes);
const void* translated(const void* pointer);

}  // namespace cuda_on_cpu

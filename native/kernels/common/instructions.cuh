// Instructions that CUDA C++ has no function for (PTX ISA, sm_80 and later), behind functions. Where the host's compiler
// reads this, for the tests that run kernels on the CPU, the same functions come from there (docs/gpu.md).
#pragma once

#if !defined(__CUDACC__)
#include <instructions_on_cpu.h>

namespace facellm::cuda {
using namespace ::cuda_on_cpu::instructions;
}
#else
#include <cstdint>

namespace facellm::cuda {

__device__ __forceinline__ unsigned shared_address(const void* p) {
  return static_cast<unsigned>(__cvta_generic_to_shared(p));
}

// 16 bytes, aligned, of memory that the kernel does not write, without a place in L1: what is read once.
__device__ __forceinline__ uint4 load_once(const void* global) {
  uint4 words;
  asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(words.x), "=r"(words.y), "=r"(words.z), "=r"(words.w)
               : "l"(global));
  return words;
}

// Has the line of this address brought to L2: a hint, whatever becomes of it.
__device__ __forceinline__ void prefetch(const void* global) { asm volatile("prefetch.global.L2 [%0];" ::"l"(global)); }

// cp.async: kBytes (4, 8 or 16, and both sides aligned to them) from global to shared memory, of which the first `valid`
// are read and the others become zero. They are there once this thread has waited for their group.
template <int kBytes>
__device__ __forceinline__ void copy_async(void* shared, const void* global, int valid = kBytes) {
  static_assert(kBytes == 4 || kBytes == 8 || kBytes == 16);
  if constexpr (kBytes == 16) {  // past L1: what is read once
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(shared)), "l"(global), "r"(valid)
                 : "memory");
  } else {
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(shared_address(shared)), "l"(global),
                 "n"(kBytes), "r"(valid)
                 : "memory");
  }
}

// Ends a group: the copies that this thread has begun since the last one.
__device__ __forceinline__ void copy_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }

// Waits until at most kGroups of this thread's groups are still under way. Other threads see them after a barrier.
template <int kGroups>
__device__ __forceinline__ void copy_async_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kGroups) : "memory");
}

// ldmatrix: four 8 x 8 matrices of 16-bit numbers in shared memory. Lane 8 m + r hands in row r of matrix m (16 bytes,
// aligned); lane l gets of each matrix the elements 2 (l % 4) and the next of row l / 4, transposed: of column l / 4.
__device__ __forceinline__ void ldmatrix_x4(uint32_t (&out)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
               : "r"(shared_address(row))
               : "memory");
}
__device__ __forceinline__ void ldmatrix_x4_transposed(uint32_t (&out)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
               : "r"(shared_address(row))
               : "memory");
}

// mma.m16n8k16 of bf16 with fp32 sums: c [16, 8] += a [16, 16] * b [16, 8], as fragments of a warp's lanes. Lane l holds
// of c the columns 2 (l % 4) and the next, of row l / 4 (c[0], c[1]) and row l / 4 + 8 (c[2], c[3]).
__device__ __forceinline__ void mma_m16n8k16(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
               "{%0, %1, %2, %3};"
               : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// a * b + c of two bf16 each, rounded once; numbers below the normal ones are kept.
__device__ __forceinline__ uint32_t fma_bf16x2(uint32_t a, uint32_t b, uint32_t c) {
  uint32_t d;
  asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(d) : "r"(a), "r"(b), "r"(c));
  return d;
}

}  // namespace facellm::cuda
#endif

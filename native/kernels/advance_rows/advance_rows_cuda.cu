// One thread a row.
#include "kernels/advance_rows/advance_rows_cuda.h"
#include "kernels/common/cuda_common.cuh"

namespace facellm {
namespace {

__global__ void advance_rows_kernel(int64_t* positions, int64_t* numbers, int64_t* lengths, int64_t* slots,
                                    const int32_t* block_table, int64_t rows, int64_t most_blocks, int64_t block_size) {
  cuda::let_next_start();
  cuda::wait_for_previous();
  const int64_t row = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (row >= rows) return;
  if (positions[row] < 0) {
    lengths[row] = 0;
    slots[row] = -1;
    return;
  }
  const int64_t position = positions[row] + 1, block = position / block_size;
  positions[row] = position;
  numbers[row] += 1;
  lengths[row] = position + 1;
  slots[row] = block < most_blocks
                   ? static_cast<int64_t>(block_table[row * most_blocks + block]) * block_size + position % block_size
                   : -1;
}

}  // namespace

void advance_rows_cuda(const AdvanceRows& work, cudaStream_t stream) {
  constexpr int kThreads = 128;
  cuda::launch_early(advance_rows_kernel, static_cast<unsigned>((work.rows + kThreads - 1) / kThreads), kThreads, 0, stream,
               work.positions, work.numbers, work.lengths, work.slots, work.block_table, work.rows, work.most_blocks,
               work.block_size);
}

}  // namespace facellm

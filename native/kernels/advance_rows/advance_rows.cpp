#include "kernels/advance_rows/advance_rows.h"

#include "kernels/advance_rows/advance_rows_cuda.h"
#include "kernels/common/checks.h"
#include "kernels/common/cuda_launch.h"

namespace facellm {
namespace {

void check(const RowNumbers& rows, int64_t block_size) {
  KernelChecks checks("advance_rows");
  for (const auto& [x, name] : {std::pair(rows.positions, "positions"), std::pair(rows.numbers, "numbers"),
                                std::pair(rows.lengths, "lengths"), std::pair(rows.slots, "slots")}) {
    checks.require_same(x, rows.positions, name);
    checks.require_shape(x, rows.positions.sizes(), name);
    checks.require(x.dim() == 1 && x.scalar_type() == at::kLong && x.is_contiguous(),
                   "positions, numbers, lengths, slots: expected contiguous int64 [rows]");
  }
  checks.require(rows.block_table.dim() == 2 && rows.block_table.size(0) == rows.positions.size(0) &&
                     rows.block_table.scalar_type() == at::kInt && rows.block_table.is_contiguous() &&
                     rows.block_table.device() == rows.positions.device(),
                 "block_table: expected contiguous int32 [rows, blocks] on the device of positions");
  checks.require(block_size > 0, "block_size: expected a positive number");
  checks.finish();
}

}  // namespace

void advance_rows(const RowNumbers& rows, int64_t block_size) {
  check(rows, block_size);
#if FACELLM_CUDA
  if (rows.positions.is_cuda()) {
    const AdvanceRows work{rows.positions.mutable_data_ptr<int64_t>(),
                           rows.numbers.mutable_data_ptr<int64_t>(),
                           rows.lengths.mutable_data_ptr<int64_t>(),
                           rows.slots.mutable_data_ptr<int64_t>(),
                           rows.block_table.const_data_ptr<int32_t>(),
                           rows.positions.size(0),
                           rows.block_table.size(1),
                           block_size};
    cuda_launch("advance_rows", rows.positions, [&](cudaStream_t stream) { advance_rows_cuda(work, stream); });
    return;
  }
#endif
  throw Error(ErrorCode::kDeviceNoCuda, "advance_rows: a kernel for CUDA alone");
}

}  // namespace facellm

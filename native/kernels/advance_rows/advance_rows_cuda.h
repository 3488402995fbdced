// Raw-pointer launcher; see advance_rows.h.
#pragma once

#include <cstdint>

typedef struct CUstream_st* cudaStream_t;

namespace facellm {

struct AdvanceRows {
  int64_t *positions, *numbers, *lengths, *slots;  // [R]
  const int32_t* block_table;                      // [R, most_blocks]
  int64_t rows, most_blocks, block_size;
};

void advance_rows_cuda(const AdvanceRows& work, cudaStream_t stream);

}  // namespace facellm

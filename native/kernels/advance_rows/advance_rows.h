// The rows of a step move on by one token, on the device: the host need not tell the numbers of the next step.
#pragma once

#include <ATen/ATen.h>

namespace facellm {

// All int64 [R] but the table, on one device.
struct RowNumbers {
  at::Tensor positions;    // of the token computed last; negative: a place without a row
  at::Tensor numbers;      // tokens generated
  at::Tensor lengths;      // slots that a row sees, with this step's own: written
  at::Tensor slots;        // where this step's keys and values go: written; -1: nowhere
  at::Tensor block_table;  // int32 [R, most blocks]
};

// positions += 1, numbers += 1, lengths = positions + 1, slots by the table; of a place without a row length 0 and slot -1.
void advance_rows(const RowNumbers& rows, int64_t block_size);

}  // namespace facellm

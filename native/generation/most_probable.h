// The most probable token of each row, where nothing else is asked: one pass over scores in a CPU's memory.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <vector>

namespace facellm {

struct MostProbable {
  int32_t id;      // the lowest among equals
  float log_prob;
  bool is_number;  // false where a score of the row is NaN or +infinity, or none is finite: then nothing else counts
};

// logits [R, V] of a CPU, fp32 or bf16, contiguous rows. A row's numbers do not depend on the others, nor on threads.
std::vector<MostProbable> most_probable(const at::Tensor& logits);

}  // namespace facellm

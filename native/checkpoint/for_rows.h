#pragma once

#include <ATen/Parallel.h>

#include <cstdint>

namespace facellm {

// row(n) for every row of a matrix, by all threads.
template <typename Row>
void for_rows(int64_t rows, const Row& row) {
  at::parallel_for(0, rows, 16, [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) row(n);
  });
}

}  // namespace facellm

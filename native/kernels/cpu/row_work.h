// Sharing rows out between threads.
#pragma once

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>

#include <algorithm>

namespace facellm {

// Numbers below which a second thread costs more than it saves.
constexpr int64_t kNumbersWorthThreads = 1 << 15;

// Whether row kernels take numbers of this kind; doubles, tests' own truth, go the plain way.
inline bool takes_row_kernels(const at::Tensor& x) {
  return x.is_cpu() && (x.scalar_type() == at::kBFloat16 || x.scalar_type() == at::kFloat);
}

// Runs work(begin, end) over rows of `size` numbers.
template <typename Work>
void for_rows(int64_t rows, int64_t size, const Work& work) {
  if (rows * size < kNumbersWorthThreads) return work(int64_t{0}, rows);
  at::parallel_for(0, rows, std::max<int64_t>(1, kNumbersWorthThreads / 2 / std::max<int64_t>(size, 1)), work);
}

}  // namespace facellm

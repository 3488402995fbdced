#include "core/one_thread.h"

#include <ATen/Parallel.h>

// Of the OpenMP that libtorch brings; ours is compiled without.
extern "C" {
__attribute__((weak)) void omp_set_num_threads(int threads);
}

namespace facellm {

OneThread::OneThread() : before_(at::get_num_threads()) {  // libtorch's own first use of the thread is behind us
  if (omp_set_num_threads != nullptr) omp_set_num_threads(1);
}

OneThread::~OneThread() {
  if (omp_set_num_threads != nullptr) omp_set_num_threads(before_);
}

}  // namespace facellm

#include "core/mkl_warm_up.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

namespace facellm {

void warm_up_mkl() noexcept try {
  const c10::NoGradGuard no_grad;
  for (const auto dtype : {at::kFloat, at::kDouble}) {
    const auto x = at::full({1}, 0.5, dtype);
    // Every function that ATen/cpu/vml.h hands to MKL.
    for (const auto function : {&at::acos, &at::asin, &at::atan, &at::cos, &at::erf, &at::erfc, &at::erfinv,
                                &at::exp, &at::log, &at::log10, &at::log2, &at::sin, &at::sqrt, &at::tan,
                                &at::tanh, &at::trunc}) {
      function(x);
    }
  }
} catch (...) {
  // On the engine thread, outside any job: nobody could be told, and the process must not end.
}

}  // namespace facellm

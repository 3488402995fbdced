// A checkpoint's values are numbers: looked through while the processor's cache holds them.
#pragma once

#include <c10/core/ScalarType.h>

#include <cstdint>

namespace facellm {

// False if one of `count` values of fp32, fp16 or bf16 is NaN or infinite.
bool is_finite(const void* data, int64_t count, at::ScalarType dtype);

}  // namespace facellm

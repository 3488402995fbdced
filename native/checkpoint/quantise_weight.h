// A weight's rows into codes and scales, as compressed-tensors' files hold them: what read_quantised reads back. No calibration.
#pragma once

#include <ATen/ATen.h>

#include <string>
#include <vector>

#include "checkpoint/quantisation.h"

namespace facellm {

// Whether files of such a form are written: "pack-quantized" with 4 bits in groups, "int-quantized" with 8, "float-quantized".
bool is_written(const Quantisation& form);

// A tensor that a quantised weight [rows, inner] becomes.
struct QuantisedPart {
  const char* suffix;  // of the module's name: ".weight_packed"
  at::ScalarType dtype;
  std::vector<int64_t> shape;
};
std::vector<QuantisedPart> quantised_parts(const Quantisation& form, int64_t rows, int64_t inner, at::ScalarType scale_dtype);

// Scales of `weight` [N, K] (any float dtype, CPU), in `dtype`, rounded to it before any code is: [N, groups]. int8: the row's
// largest magnitude / 127; fp8: / 448; int4: searched among twenty sizes and twice by least squares, always positive. By all threads;
// the same whatever their number.
at::Tensor quantised_scales(const Quantisation& form, const at::Tensor& weight, at::ScalarType dtype);

// Its codes at those scales, in the shape and dtype that the files have.
at::Tensor quantised_codes(const Quantisation& form, const at::Tensor& weight, const at::Tensor& scales);

}  // namespace facellm

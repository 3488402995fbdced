// A linear layer's weight as tools for quantising store it, read into one plain form whatever the file's: codes in rows with
// scales, and zero points where there are some. Formats: docs/quantisation.md, "Files".
#pragma once

#include <ATen/ATen.h>

#include <optional>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "checkpoint/quantisation.h"

namespace facellm {

inline StoredDtypes stored_dtypes(const Quantisation& form) {
  return form.format.empty() ? StoredDtypes::kNumbers : StoredDtypes::kNumbersAndCodes;
}

// The tensors of a checkpoint that are one weight [rows, inner].
struct QuantisedTensors {
  std::string module;  // the tensors' common name, as stored
  int64_t rows = 0, inner = 0;
  std::vector<std::string> names;
};

// Of `module` ("model.layers.0.self_attn.q_proj"), if it is stored quantised; nothing of a plain one. What is wrong with shapes and
// dtypes goes to `problems`.
std::optional<QuantisedTensors> find_quantised(const Checkpoint& checkpoint, const Quantisation& form, const std::string& module,
                                               std::vector<std::string>& problems);

struct QuantisedWeight {
  at::Tensor codes;     // [N, K] int8, or float8 e4m3
  at::Tensor scales;    // [N, groups] fp32
  at::Tensor zeros;     // [N, groups] int8; undefined: 0
  at::Tensor group_of;  // [K] int32; undefined: column / group
  int64_t group = 0;    // columns that share a scale; K where a row does
  bool is_nf4 = false;  // codes 0..15 of its table (core/nf4_values.h), scales their groups' magnitudes

  int64_t rows() const { return codes.size(0); }
  int64_t inner() const { return codes.size(1); }
  // (code - zero) * scale of rows [begin, begin + count), fp32 with one rounding; [count, K].
  void dequantise(int64_t begin, int64_t count, float* rows) const;
  // Whole numbers around 0 in groups of neighbouring columns: nothing but codes and scales says what they stand for.
  bool is_plain() const { return codes.scalar_type() == at::kChar && !is_nf4 && !zeros.defined() && !group_of.defined(); }
};

// Its tensors, unpacked by all threads. Throws kCheckpointInvalid for indices of groups that there are not, and as
// Checkpoint::read.
QuantisedWeight read_quantised(const Checkpoint& checkpoint, const Quantisation& form, const QuantisedTensors& tensors);

}  // namespace facellm

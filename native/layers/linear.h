// y = x W^T + b with weight [out, in] as checkpoints store it; one rounding, after the bias.
#pragma once

#include <ATen/ATen.h>

#include <memory>
#include <optional>
#include <vector>

#include "kernels/low_rank/low_rank.h"

namespace facellm {

class PackedMatrix;  // kernels/cpu/packed_matrix.h
class FrozenWeight;  // layers/frozen_weight.h
struct Linear;

// What takes a layer's place without the layer's owner knowing: where lora/ plugs in.
class LinearExtension {
 public:
  virtual ~LinearExtension() = default;
  // The layer's whole output, its own product included. x [..., in] -> [..., out]
  virtual at::Tensor forward(const Linear& base, const at::Tensor& x) const = 0;
  // Of a pass of so many rows: what forward() adds to the layer's own product by add_low_rank() (kernels/low_rank), where it does that and
  // nothing else; else nothing. The matrices live as long as the extension.
  virtual std::optional<std::vector<LowRankGroup>> additions(int64_t /*rows*/) const { return {}; }
};

struct Linear {
  at::Tensor weight;  // [out, in]; a meta tensor where the packed or frozen form is all that is kept
  at::Tensor bias;    // [out] or undefined
  std::shared_ptr<const PackedMatrix> packed;  // the weight for the processor's own kernels, or null; not for training
  std::shared_ptr<const FrozenWeight> frozen;  // the weight in few bits, to be trained upon or on a GPU, or null
  std::shared_ptr<const LinearExtension> extension;  // or null

  static Linear empty(int64_t in, int64_t out, bool has_bias, const at::TensorOptions& options);
  // The same with a weight that has a shape and no memory (a meta tensor), for an owner who fills it in.
  static Linear without_weight(int64_t in, int64_t out, bool has_bias, const at::TensorOptions& options);
  // x [..., in] -> [..., out]
  at::Tensor operator()(const at::Tensor& x) const;
  // Of a layer that makes gates and ups: swiglu() of it (kernels/swiglu), in one pass where the device can.
  at::Tensor gated(const at::Tensor& x) const;
  // GELU, by erf, of it: in the product's own pass where the processor's kernels take it.
  at::Tensor gelu(const at::Tensor& x) const;
  // The layer without the extension.
  at::Tensor product(const at::Tensor& x) const;
  // weight[begin, begin + count), whatever form is kept: a view or a copy.
  at::Tensor weight_rows(int64_t begin, int64_t count) const;

 private:
  bool takes_packed(const at::Tensor& x) const;
};

}  // namespace facellm

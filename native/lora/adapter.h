// A trained or fresh adapter: its matrices under PEFT's names, and its place in a model. Model code does
// not know of it: it is plugged into linear layers as an extension (layers/linear.h).
#pragma once

#include <ATen/ATen.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "lora/adapter_source.h"
#include "lora/lora_linear.h"
#include "model/internvl.h"

namespace facellm {

class Adapter {
 public:
  // Fresh as PEFT makes it: A uniform in +-1/sqrt(in), B zero, magnitudes the row norms of W. fp32 on the
  // model's device; the same for the same seed on every machine. Throws kAdapterInvalid for a module
  // that the model has not, or named twice.
  static std::shared_ptr<Adapter> create(InternVl& model, const AdapterSpec& spec, uint64_t seed);
  // From adapter_model.safetensors, both of PEFT's key forms (docs/internvl3.md, section 11.4). Throws
  // kAdapterInvalid listing every missing, unexpected and mis-shaped tensor. `dtype`: what A and B are
  // kept in; magnitudes stay fp32, since a row's gain differs from 1 by less than bf16 can tell. On the
  // model's device, or the CPU where the model has none (an export's model without storage).
  static std::shared_ptr<Adapter> load(InternVl& model, const AdapterSpec& spec,
                                       const Checkpoint& checkpoint, at::ScalarType dtype);

  // lora_A, lora_B (and magnitudes) under the names that PEFT 0.21 over transformers >= 4.52 writes,
  // in model order.
  ParameterList parameters() const;
  // Vision tower or projector.
  bool touches_vision() const;
  int64_t bytes() const;
  // Computes once what answering needs of the base model: row norms of DoRA. The base must be loaded.
  void prepare_for_inference();

  struct Member {
    std::string module;
    LoraSlice slice;  // rows within its layer
    Linear* linear;
  };
  const std::vector<Member>& members() const { return members_; }

 private:
  std::vector<Member> members_;
};

// What a stack of adapters adds to each layer, in order. Throws kAdapterInvalid where DoRA meets another adapter on one
// module.
using SlicesByLinear = std::map<const Linear*, std::vector<LoraSlice>>;
SlicesByLinear stacked_slices(const std::vector<std::shared_ptr<const Adapter>>& adapters);

// For training: makes exactly these adapters work, their sums where several meet; none restores the model. Throws as
// stacked_slices() does; then nothing has changed. For answering: lora/adapter_stacks.h.
void activate(InternVl& model, const std::vector<std::shared_ptr<const Adapter>>& adapters,
              const std::shared_ptr<const LoraDropout>& dropout);

}  // namespace facellm

// AdamW over the trainable tensors (decoupled weight decay, arXiv 1711.05101; docs/internvl3.md, section
// 11.2), with gradient clipping by the global norm. Parameters of less than fp32 keep an fp32 master copy. All tensors of a
// group go into one call: a handful of kernels on a GPU, however many parameters there are.
#pragma once

#include <ATen/ATen.h>

#include <string>
#include <vector>

#include "model/parameters.h"

namespace facellm {

struct AdamWOptions {
  double beta1, beta2, eps, weight_decay;
  bool decays_vectors;  // false: biases, norms and other one-dimensional tensors are not decayed
};

class AdamW {
 public:
  // `parameters` are leaves that require gradients; names are those of the state's tensors. rates: what multiplies the learning
  // rate of each.
  AdamW(ParameterList parameters, const std::vector<double>& rates, const AdamWOptions& options);

  // L2 norm of all gradients, as one vector.
  double gradient_norm() const;
  // Multiplies gradients by min(1, max_norm / (norm + 1e-6)) where max_norm > 0, updates, clears gradients.
  void step(double learning_rate, double gradient_norm, double max_norm);
  void clear_gradients();

  int64_t updates() const { return updates_; }
  const ParameterList& parameters() const { return parameters_; }
  // "NAME.exp_avg", "NAME.exp_avg_sq" and, where there is one, "NAME.master"; aliases, to save and to restore.
  ParameterList state() const;
  // After the state's tensors have been overwritten.
  void restored(int64_t updates);

 private:
  struct Group {
    double weight_decay, rate;
    std::vector<size_t> members;
  };
  ParameterList parameters_;
  std::vector<at::Tensor> masters_;  // the parameter itself where it is fp32
  std::vector<at::Tensor> exp_avgs_, exp_avg_sqs_;
  at::Tensor step_;  // one for all, as they are updated together
  std::vector<Group> groups_;
  AdamWOptions options_;
  int64_t updates_ = 0;
};

// One update of one tensor, composed of plain operations; the test's reference. `step` counts from 1.
void adamw_reference(at::Tensor& parameter, const at::Tensor& gradient, at::Tensor& exp_avg,
                     at::Tensor& exp_avg_sq, int64_t step, double learning_rate,
                     double weight_decay, const AdamWOptions& options);

}  // namespace facellm

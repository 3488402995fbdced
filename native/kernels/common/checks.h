// Argument checks of kernel dispatchers: always on, all problems in one error.
#pragma once

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <string>
#include <vector>

#include "core/error.h"

namespace facellm {

class KernelChecks {
 public:
  explicit KernelChecks(const char* op) : op_(op) {}

  // A literal: what holds costs no memory. Kernels are dispatched some hundred times a token.
  void require(bool is_met, const char* expectation) {
    if (!is_met) problems_.emplace_back(expectation);
  }
  // For texts that must be put together: call it only where something is wrong.
  void add(std::string problem) { problems_.push_back(std::move(problem)); }
  // One of the two dtypes that kernels are written for (double serves tests on the CPU).
  void require_float(const at::Tensor& x, const char* name) {
    const auto type = x.scalar_type();
    if (type == at::kFloat || type == at::kBFloat16 || (type == at::kDouble && x.is_cpu())) return;
    add(std::string(name) + ": expected fp32 or bf16, got " + c10::toString(type));
  }
  void require_same(const at::Tensor& x, const at::Tensor& like, const char* name) {
    if (x.scalar_type() == like.scalar_type() && x.device() == like.device()) return;
    add(std::string(name) + ": expected " + c10::toString(like.scalar_type()) + " on " + like.device().str() +
        ", got " + c10::toString(x.scalar_type()) + " on " + x.device().str());
  }
  void require_shape(const at::Tensor& x, at::IntArrayRef shape, const char* name) {
    if (x.sizes() == shape) return;
    std::string text = std::string(name) + ": expected shape [";
    for (const auto size : shape) text += std::to_string(size) + " ";
    text += "], got [";
    for (const auto size : x.sizes()) text += std::to_string(size) + " ";
    add(text + "]");
  }
  void finish() {
    if (problems_.empty()) return;
    throw Error(ErrorCode::kInvalidArgument,
                std::string(op_) + ": " + std::to_string(problems_.size()) + " wrong argument(s)",
                std::move(problems_));
  }

 private:
  const char* op_;
  std::vector<std::string> problems_;
};

inline bool needs_autograd(std::initializer_list<at::Tensor> tensors) {
  if (!c10::GradMode::is_enabled()) return false;
  for (const auto& x : tensors) {
    if (x.defined() && x.requires_grad()) return true;
  }
  return false;
}

}  // namespace facellm

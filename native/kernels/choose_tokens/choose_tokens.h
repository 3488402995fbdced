// The next token of each row, chosen on the GPU: what generation/sampler.h does for one row on the host, and its test's
// reference. Draws are the same but where a draw comes within 2^-20 of the border between two tokens: weights are rounded
// otherwise (expf, and whole numbers of 2^-40 of the largest instead of double), which moves a border by no more.
#pragma once

#include <ATen/ATen.h>

#include "kernels/choose_tokens/choose_tokens_cuda.h"

namespace facellm {

// All on the GPU, at addresses that stay while a graph of the call lives.
struct ChoiceRows {
  at::Tensor rules;    // uint8 [R * sizeof(ChoiceRule)]
  at::Tensor numbers;  // int64 [R]: how many tokens were generated before this one
  at::Tensor edits;    // uint8, a list of ScoreEdit: what the rules' ranges name
  at::Tensor masks;    // int32 [masks, words of 32 ids] or undefined
};
struct ChosenRows {
  at::Tensor ids;        // int64 [R]; 0 where none could be chosen
  at::Tensor log_probs;  // fp32 [R]
  at::Tensor statuses;   // int32 [R]: a ChoiceStatus each
};

// logits [R, V] fp32 or bf16. Only for CUDA: throws kDeviceNoCuda elsewhere, kInvalidArgument for wrong shapes.
void choose_tokens(const at::Tensor& logits, const ChoiceRows& rows, const ChosenRows& chosen);

}  // namespace facellm

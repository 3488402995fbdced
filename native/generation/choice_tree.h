// Exact log-probabilities of given answers. The prompt is computed once; answers are then scored as branches
// of a tree, as many in one pass as a step has room for: each answer's tokens see the prompt and their own
// predecessors, not the other answers.
#pragma once

#include <ATen/ATen.h>

#include <vector>

#include "generation/active_request.h"
#include "model/language_model.h"

namespace facellm {

// Of each answer all tokens but the last are inputs: the last one's successor is not asked for.
struct Branches {
  std::vector<int64_t> ids;
  std::vector<int64_t> depths;    // behind the prompt: 0 for each answer's first token
  std::vector<int64_t> branch;    // which answer a token belongs to
};

Branches lay_out(const ChooseRequest& request, const std::vector<size_t>& choices);
// bool [count, prompt_tokens + count]
at::Tensor tree_mask(const Branches& branches, int64_t prompt_tokens, at::Device device);
// The choices that the next pass takes from `next` on: with `most` tokens together, or one that is longer.
std::vector<size_t> next_group(const ChooseRequest& request, size_t next, int64_t most);
int64_t tree_tokens(const ChooseRequest& request, const std::vector<size_t>& choices);

// Of every choice's first id, from the prompt's last hidden state [1, D]. row_multiple, here and below: rows that the head
// sees are filled up to a multiple of so many.
void score_first(const LanguageModel& language_model, const at::Tensor& hidden, int64_t row_multiple, Choosing& choosing);
// Of a group's further ids, from the tree's hidden states [count, D]. Logits exist for a bounded number
// of rows at a time.
void score_group(const LanguageModel& language_model, const at::Tensor& hidden, const std::vector<size_t>& choices,
                 int64_t row_multiple, Choosing& choosing, const Cancellation& cancellation);
// Sums up. Throws kNonFinite.
void finish_scores(ChooseResult& result);

}  // namespace facellm

#include "generation/choice_tree.h"

#include <algorithm>
#include <cmath>

#include "generation/next_tokens.h"
#include "kernels/product/product.h"

namespace facellm {
namespace {

std::vector<float> to_host(const at::Tensor& values) {
  const auto host = values.cpu().contiguous();
  const auto* data = host.const_data_ptr<float>();
  return {data, data + host.numel()};
}

at::Tensor on_device(const std::vector<int64_t>& values, const at::Tensor& like) {
  return at::tensor(values, at::kLong).to(like.device());
}

}  // namespace

Branches lay_out(const ChooseRequest& request, const std::vector<size_t>& choices) {
  Branches branches;
  for (const size_t c : choices) {
    const auto& ids = request.choices[c];
    for (size_t i = 0; i + 1 < ids.size(); ++i) {
      branches.ids.push_back(ids[i]);
      branches.depths.push_back(static_cast<int64_t>(i));
      branches.branch.push_back(static_cast<int64_t>(c));
    }
  }
  return branches;
}

at::Tensor tree_mask(const Branches& branches, int64_t prompt_tokens, at::Device device) {
  const auto branch = at::tensor(branches.branch, at::kLong).to(device);
  const auto depth = at::tensor(branches.depths, at::kLong).to(device);
  const auto own = (branch.unsqueeze(1) == branch.unsqueeze(0)) & (depth.unsqueeze(1) >= depth.unsqueeze(0));
  return at::cat({at::ones({branch.size(0), prompt_tokens}, own.options()), own}, 1);
}

std::vector<size_t> next_group(const ChooseRequest& request, size_t next, int64_t most) {
  std::vector<size_t> group;
  int64_t tokens = 0;
  for (size_t c = next; c < request.choices.size(); ++c) {
    const auto own = static_cast<int64_t>(request.choices[c].size()) - 1;
    if (own == 0) continue;
    if (!group.empty() && tokens + own > most) break;
    group.push_back(c);
    tokens += own;
  }
  return group;
}

int64_t tree_tokens(const ChooseRequest& request, const std::vector<size_t>& choices) {
  int64_t tokens = 0;
  for (const size_t c : choices) tokens += static_cast<int64_t>(request.choices[c].size()) - 1;
  return tokens;
}

void score_first(const LanguageModel& language_model, const at::Tensor& hidden, int64_t row_multiple, Choosing& choosing) {
  // A row that lost its blocks after this is computed again; what it gave is there.
  if (!choosing.result.token_log_probs.empty()) return;
  std::vector<int64_t> first;
  for (const auto& ids : choosing.request.choices) first.push_back(ids[0]);
  const auto scores = language_model.logits(fill_rows(hidden, row_multiple), {}).to(at::kFloat);
  for (const float log_prob : to_host(scores[0].index({on_device(first, scores)}) - scores.logsumexp(-1)[0])) {
    choosing.result.token_log_probs.push_back({log_prob});
  }
}

void score_group(const LanguageModel& language_model, const at::Tensor& hidden, const std::vector<size_t>& choices,
                 int64_t row_multiple, Choosing& choosing, const Cancellation& cancellation) {
  // With the 1B's vocabulary 64 rows of logits take 58 MB; those of hundreds of answers would take gigabytes.
  constexpr int64_t kRows = 64;
  std::vector<int64_t> successors;
  for (const size_t c : choices) {
    const auto& ids = choosing.request.choices[c];
    successors.insert(successors.end(), ids.begin() + 1, ids.end());
  }
  const auto index = on_device(successors, hidden).unsqueeze(1);
  std::vector<at::Tensor> parts;
  for (int64_t begin = 0; begin < hidden.size(0); begin += kRows) {
    cancellation.check();
    const int64_t count = std::min(kRows, hidden.size(0) - begin);
    const auto rows = fill_rows(hidden.narrow(0, begin, count), row_multiple);
    const auto scores = language_model.logits(rows, {}).to(at::kFloat);
    const auto chosen = scores.narrow(0, 0, count).gather(1, index.narrow(0, begin, count)).squeeze(1);
    parts.push_back(chosen - scores.logsumexp(-1).narrow(0, 0, count));
  }
  const auto log_probs = to_host(at::cat(parts));
  auto next = log_probs.begin();
  for (const size_t c : choices) {
    const auto end = next + static_cast<int64_t>(choosing.request.choices[c].size()) - 1;
    auto& own = choosing.result.token_log_probs[c];
    own.insert(own.end(), next, end);
    next = end;
  }
}

void finish_scores(ChooseResult& result) {
  for (const auto& log_probs : result.token_log_probs) {
    double sum = 0;
    for (const float log_prob : log_probs) sum += log_prob;
    if (!std::isfinite(sum)) throw non_finite_logits();
    result.log_probs.push_back(sum);
  }
}

}  // namespace facellm

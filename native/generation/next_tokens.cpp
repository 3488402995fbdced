#include "generation/next_tokens.h"

#include <algorithm>
#include <cmath>

#include "generation/most_probable.h"

namespace facellm {
namespace {

DrawInput input_of(const Row& row, std::span<const float> logits) {
  const std::span<const uint32_t> mask = row.mask ? std::span<const uint32_t>(*row.mask) : std::span<const uint32_t>();
  return {logits, row.history, row.choice, asked(row).eos_ids, mask};
}

bool is_plain(const Row* row) {
  const auto& sampling = asked(*row).sampling;
  const auto input = input_of(*row, {});
  return sampling.is_greedy && sampling.top_log_probs == 0 && input.mask.empty() && !edits_scores(sampling, input);
}

std::vector<MostProbable> most_probable_on_device(const at::Tensor& logits) {
  const auto scores = logits.to(at::kFloat);
  // argmax takes the lowest id among equals, as the reference does.
  const auto ids = scores.argmax(-1);
  const auto log_sums = scores.logsumexp(-1);
  const auto log_probs = scores.gather(-1, ids.unsqueeze(-1)).squeeze(-1) - log_sums;
  // One transfer: ids below 2^24 are exact in fp32.
  const auto best = at::stack({ids.to(at::kFloat), log_probs, log_sums}).cpu();
  const auto values = best.accessor<float, 2>();
  std::vector<MostProbable> result;
  for (int64_t r = 0; r < logits.size(0); ++r) {
    result.push_back({static_cast<int32_t>(values[0][r]), values[1][r], std::isfinite(values[2][r])});
  }
  return result;
}

}  // namespace

Error non_finite_logits() {
  return Error(ErrorCode::kNonFinite,
               "the model's logits are not finite numbers; the weights are damaged, or bf16 "
               "overflowed: try another checkpoint file, or dtype fp32");
}

std::vector<std::variant<Chosen, Error>> next_tokens(const at::Tensor& logits, const std::vector<Row*>& rows,
                                                     SamplerScratch& scratch) {
  const bool has_plain = std::ranges::any_of(rows, is_plain);
  std::vector<MostProbable> best;
  if (has_plain) best = logits.is_cpu() ? most_probable(logits) : most_probable_on_device(logits);
  at::Tensor all;  // [rows, V] on the host
  std::vector<std::variant<Chosen, Error>> chosen;
  for (size_t i = 0; i < rows.size(); ++i) {
    const auto r = static_cast<int64_t>(i);
    if (is_plain(rows[i])) {
      const auto& own = best[i];
      if (own.is_number) {
        chosen.emplace_back(Chosen{own.id, own.log_prob});
      } else {
        chosen.emplace_back(non_finite_logits());
      }
      continue;
    }
    if (!all.defined()) all = logits.to(at::kFloat).cpu().contiguous();
    const std::span<const float> own(all.const_data_ptr<float>() + r * all.size(1), static_cast<size_t>(all.size(1)));
    try {
      const auto draw = draw_token(asked(*rows[i]).sampling, input_of(*rows[i], own), scratch);
      chosen.emplace_back(Chosen{draw.id, draw.log_prob, draw.mask_mass, {draw.top.begin(), draw.top.end()}});
    } catch (const Error& error) {
      chosen.emplace_back(error);
    }
  }
  return chosen;
}

}  // namespace facellm

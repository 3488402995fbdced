#include "generation/choose.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/stopwatch.h"

namespace facellm {
namespace {

// Of each answer all tokens but the last are inputs: the last one's successor is not asked for.
struct Branches {
  std::vector<int64_t> ids;
  std::vector<int64_t> positions;
  std::vector<int64_t> branch;  // which answer a token belongs to
};

Branches lay_out(const ChooseRequest& request) {
  Branches branches;
  const auto start = static_cast<int64_t>(request.prompt.ids.size());
  for (size_t c = 0; c < request.choices.size(); ++c) {
    const auto& ids = request.choices[c];
    for (size_t i = 0; i + 1 < ids.size(); ++i) {
      branches.ids.push_back(ids[i]);
      branches.positions.push_back(start + static_cast<int64_t>(i));
      branches.branch.push_back(static_cast<int64_t>(c));
    }
  }
  return branches;
}

StepInput tree_input(const InternVl& model, const Branches& branches, int64_t prompt_tokens) {
  const auto device = model.options().device();
  StepInput input;
  const auto count = static_cast<int64_t>(branches.ids.size());
  const auto ids = at::tensor(branches.ids, at::kLong).to(device);
  input.embeddings = model.language_model().embed(ids).unsqueeze(0);
  input.positions = at::tensor(branches.positions, at::kLong).to(device).unsqueeze(0);
  const auto branch = at::tensor(branches.branch, at::kLong).to(device);
  const auto own = (branch.unsqueeze(1) == branch.unsqueeze(0)) &
                   (input.positions.squeeze(0).unsqueeze(1) >= input.positions.squeeze(0).unsqueeze(0));
  const auto prompt = at::ones({count, prompt_tokens}, own.options());
  input.mask = at::cat({prompt, own}, 1).view({1, 1, count, prompt_tokens + count});
  return input;
}

void check_choices(const InternVlConfig& config, const ChooseRequest& request) {
  std::vector<std::string> details;
  size_t longest = 0;
  for (size_t c = 0; c < request.choices.size(); ++c) {
    const auto& ids = request.choices[c];
    longest = std::max(longest, ids.size());
    if (ids.empty()) details.push_back("choice " + std::to_string(c) + " has no tokens");
    for (const int32_t id : ids) {
      if (id >= 0 && id < config.text.vocab_size) continue;
      details.push_back("choice " + std::to_string(c) + ": token id " + std::to_string(id) +
                        " is outside the vocabulary of " + std::to_string(config.text.vocab_size));
    }
  }
  if (request.choices.empty()) details.push_back("there are no choices");
  if (!details.empty()) {
    throw Error(ErrorCode::kInvalidArgument, "choices: expected one or more token ids each",
                std::move(details));
  }
  const auto needed = static_cast<int64_t>(request.prompt.ids.size() + longest);
  if (needed > config.text.max_position_embeddings) {
    throw Error(ErrorCode::kPromptTooLong,
                "prompt and longest choice take " + std::to_string(needed) +
                    " tokens, the model's limit is " +
                    std::to_string(config.text.max_position_embeddings) +
                    "; use fewer tiles, images or words");
  }
}

std::vector<float> to_host(const at::Tensor& values) {
  const auto host = values.cpu().contiguous();
  const auto* data = host.const_data_ptr<float>();
  return {data, data + host.numel()};
}

// Log-probabilities of several successors of one row [1, D].
std::vector<float> one_row(const LanguageModel& language_model, const at::Tensor& hidden,
                           const std::vector<int64_t>& targets) {
  const auto scores = language_model.logits(hidden, {}).to(at::kFloat).squeeze(0);
  return to_host(scores.index({at::tensor(targets, at::kLong).to(scores.device())}) - scores.logsumexp(-1));
}

// Log-probability of one successor of each row [R, D]. Logits of a chunk of rows exist at a time: with the 1B's
// vocabulary 64 take 58 MB, those of hundreds of answers would take gigabytes.
std::vector<float> row_by_row(const LanguageModel& language_model, const at::Tensor& hidden,
                              const std::vector<int64_t>& targets, const Cancellation& cancellation) {
  constexpr int64_t kRows = 64;
  const auto index = at::tensor(targets, at::kLong).to(hidden.device()).unsqueeze(1);
  std::vector<at::Tensor> parts;
  for (int64_t begin = 0; begin < hidden.size(0); begin += kRows) {
    cancellation.check();
    const int64_t count = std::min(kRows, hidden.size(0) - begin);
    const auto scores = language_model.logits(hidden.narrow(0, begin, count), {}).to(at::kFloat);
    parts.push_back(scores.gather(1, index.narrow(0, begin, count)).squeeze(1) - scores.logsumexp(-1));
  }
  return to_host(at::cat(parts));
}

}  // namespace

ChooseResult choose(Session& session, const ChooseRequest& request,
                    const Cancellation& cancellation) {
  const auto& config = session.model.config();
  const auto& language_model = session.model.language_model();
  check_prompt(config, request.prompt);
  check_choices(config, request);
  const auto prompt_tokens = static_cast<int64_t>(request.prompt.ids.size());
  const auto branches = lay_out(request);
  const auto count = static_cast<int64_t>(branches.ids.size());

  ChooseResult result{};
  Stopwatch watch(session.model.options().device());
  result.prompt_tokens = prompt_tokens;
  auto cache = language_model.make_cache(1, prompt_tokens + count);
  const auto features = encode_images(session, request.prompt.images, result.timings, watch, cancellation, {});
  const auto prompt = prefill(session, request.prompt, features, cache, request.uses_prefix_cache,
                              result.timings, watch, cancellation, {});
  result.image_tokens = prompt.image_tokens;
  result.cached_tokens = prompt.cached_tokens;

  std::vector<int64_t> first, successors;
  for (const auto& ids : request.choices) {
    first.push_back(ids[0]);
    successors.insert(successors.end(), ids.begin() + 1, ids.end());
  }
  std::vector<float> first_log_probs, other_log_probs;
  {
    const auto lap = watch.lap(result.timings.decode);
    first_log_probs = one_row(language_model, prompt.hidden_states.select(1, -1), first);
    if (count > 0) {
      const auto tree = language_model.forward(tree_input(session.model, branches, prompt_tokens), cache,
                                               cancellation, {});
      other_log_probs = row_by_row(language_model, tree.squeeze(0), successors, cancellation);
    }
  }
  auto others = other_log_probs.begin();
  for (size_t c = 0; c < request.choices.size(); ++c) {
    std::vector<float> log_probs{first_log_probs[c]};
    const auto end = others + static_cast<int64_t>(request.choices[c].size()) - 1;
    log_probs.insert(log_probs.end(), others, end);
    others = end;
    double sum = 0;
    for (const float log_prob : log_probs) sum += log_prob;
    if (!std::isfinite(sum)) {
      throw Error(ErrorCode::kNonFinite,
                  "the model's logits are not finite numbers; the weights are damaged, or bf16 "
                  "overflowed: try another checkpoint file, or dtype fp32");
    }
    result.log_probs.push_back(sum);
    result.token_log_probs.push_back(std::move(log_probs));
  }
  watch.read();
  return result;
}

}  // namespace facellm

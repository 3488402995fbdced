#include "generation/decode_loop.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "generation/sampler.h"

namespace facellm {
namespace {

struct Chosen {
  int32_t id;
  float log_prob;
};

struct Row {
  TokenHistory history;
  int32_t last_id = 0;
  RowResult result{};
  int64_t budget = 0;  // tokens it may generate
  bool is_finished = false;
};

void require_finite(float log_sum) {
  if (std::isfinite(log_sum)) return;
  throw Error(ErrorCode::kNonFinite,
              "the model's logits are not finite numbers; the weights are damaged, or bf16 "
              "overflowed: try another checkpoint file, or dtype fp32");
}

// logits [B, V] in the model's dtype -> one choice a row. Log-probabilities are the model's own.
std::vector<Chosen> choose_tokens(const at::Tensor& logits, const GenerateRequest& request,
                                 const std::vector<Row>& rows, SamplerScratch& scratch) {
  const auto& sampling = request.sampling;
  const auto scores = logits.to(at::kFloat);
  std::vector<Chosen> chosen(rows.size());
  const bool is_plain = std::none_of(rows.begin(), rows.end(), [&](const Row& row) {
    return edits_scores(sampling, {{}, row.history, 0, request.eos_ids});
  });
  if (sampling.is_greedy && is_plain) {
    // On the device; argmax takes the lowest id among equals, as the reference does.
    const auto ids = scores.argmax(-1);
    const auto log_sums = scores.logsumexp(-1);
    const auto log_probs = (scores.gather(-1, ids.unsqueeze(-1)).squeeze(-1) - log_sums);
    // One transfer: ids below 2^24 are exact in fp32.
    const auto host = at::stack({ids.to(at::kFloat), log_probs, log_sums}).cpu();
    const auto values = host.accessor<float, 2>();
    for (size_t b = 0; b < rows.size(); ++b) {
      const auto row = static_cast<int64_t>(b);
      require_finite(values[2][row]);
      chosen[b] = {static_cast<int32_t>(values[0][row]), values[1][row]};
    }
    return chosen;
  }
  const auto host = scores.cpu().contiguous();
  const int64_t vocabulary = host.size(1);
  for (size_t b = 0; b < rows.size(); ++b) {
    if (rows[b].is_finished) continue;
    const auto* row = host.const_data_ptr<float>() + static_cast<int64_t>(b) * vocabulary;
    const auto draw = draw_token(
        sampling,
        {{row, static_cast<size_t>(vocabulary)}, rows[b].history, static_cast<uint32_t>(b), request.eos_ids}, scratch);
    chosen[b] = {draw.id, draw.log_prob};
  }
  return chosen;
}

// Books the choices, tells the sink, and returns whether any row goes on.
bool accept(const std::vector<Chosen>& chosen, const GenerateRequest& request,
            std::vector<Row>& rows, const TokenSink& sink) {
  std::vector<TokenEvent> events;
  bool goes_on = false;
  for (size_t b = 0; b < rows.size(); ++b) {
    auto& row = rows[b];
    if (row.is_finished) continue;
    const auto [id, log_prob] = chosen[b];
    row.history.add(id);
    row.last_id = id;
    ++row.result.generated_tokens;
    events.push_back({static_cast<int32_t>(b), id, log_prob});
    const bool is_end = std::find(request.eos_ids.begin(), request.eos_ids.end(), id) !=
                        request.eos_ids.end();
    row.is_finished = is_end || row.result.generated_tokens >= row.budget;
    row.result.finish_reason = is_end ? FinishReason::kEos : FinishReason::kLength;
    goes_on = goes_on || !row.is_finished;
  }
  sink(events);
  return goes_on;
}

// The next token of every row. A finished row computes along on its last slot, which nobody reads.
at::Tensor step(const InternVl& model, KvCache& cache, const std::vector<Row>& rows,
                const Cancellation& cancellation) {
  const auto device = model.options().device();
  std::vector<int64_t> ids;
  for (const auto& row : rows) ids.push_back(row.last_id);
  const auto batch = static_cast<int64_t>(rows.size());
  const auto before = cache.lengths;
  StepInput input;
  input.embeddings = model.language_model().embed(at::tensor(ids, at::kLong).to(device).unsqueeze(1));
  input.positions = at::tensor(before, at::kLong).to(device).unsqueeze(1);
  const auto [shortest, longest] = std::minmax_element(before.begin(), before.end());
  if (*shortest != *longest) {
    const auto slots = at::arange(*longest + 1, input.positions.options());
    input.mask = (slots.unsqueeze(0) <= input.positions).view({batch, 1, 1, *longest + 1});
  }
  const auto hidden = model.language_model().forward(input, cache, cancellation, {});
  for (size_t b = 0; b < rows.size(); ++b) {
    if (rows[b].is_finished) cache.lengths[b] = before[b];
  }
  return model.language_model().logits(hidden.squeeze(1), {});
}

}  // namespace

GenerateResult generate(Session& session, const GenerateRequest& request, const TokenSink& sink,
                        const Cancellation& cancellation) {
  const auto& config = session.model.config();
  const auto& language_model = session.model.language_model();
  GenerateResult result{};
  Stopwatch watch(session.model.options().device());
  std::vector<Row> rows;
  int64_t capacity = 0;
  for (size_t b = 0; b < request.prompts.size(); ++b) {
    const auto& prompt = request.prompts[b];
    check_prompt(config, prompt);
    const auto length = static_cast<int64_t>(prompt.ids.size());
    Row row{TokenHistory(request.sampling, prompt.ids)};
    row.result.prompt_tokens = length;
    row.budget = std::min(request.max_new_tokens, config.text.max_position_embeddings - length);
    capacity = std::max(capacity, length + row.budget);
    rows.push_back(std::move(row));
  }
  // Every picture of the batch in one pass of the vision tower, whatever the cache can hold.
  std::vector<ImageInput> images;
  for (const auto& prompt : request.prompts) {
    images.insert(images.end(), prompt.images.begin(), prompt.images.end());
  }
  const auto features = encode_images(session, images, result.timings, watch, cancellation, {});

  auto cache = language_model.make_cache(static_cast<int64_t>(rows.size()), capacity);
  std::vector<at::Tensor> last;
  auto own_features = features.begin();
  for (size_t b = 0; b < rows.size(); ++b) {
    auto row_cache = cache.row(static_cast<int64_t>(b));
    const auto end = own_features + static_cast<int64_t>(request.prompts[b].images.size());
    const auto done = prefill(session, request.prompts[b], {own_features, end}, row_cache,
                              request.uses_prefix_cache, result.timings, watch, cancellation, {});
    own_features = end;
    cache.lengths[b] = row_cache.lengths[0];
    rows[b].result.image_tokens = done.image_tokens;
    rows[b].result.cached_tokens = done.cached_tokens;
    last.push_back(done.hidden_states.select(1, -1));  // [1, D]
  }
  SamplerScratch scratch;
  std::vector<Chosen> chosen;
  {
    const auto lap = watch.lap(result.timings.prefill);
    const auto logits = language_model.logits(last.size() == 1 ? last[0] : at::cat(last), {});
    chosen = choose_tokens(logits, request, rows, scratch);
  }
  try {
    const auto lap = watch.lap(result.timings.decode);
    while (accept(chosen, request, rows, sink)) {
      chosen = choose_tokens(step(session.model, cache, rows, cancellation), request, rows, scratch);
    }
  } catch (const Error& error) {
    // Stopping an answer that has begun is no failure: a stop string ends it this way.
    if (error.code() != ErrorCode::kCancelled) throw;
    for (auto& row : rows) {
      if (!row.is_finished) row.result.finish_reason = FinishReason::kCancelled;
    }
  }
  for (const auto& row : rows) result.rows.push_back(row.result);
  watch.read();
  return result;
}

}  // namespace facellm

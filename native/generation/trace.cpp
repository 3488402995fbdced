#include "generation/trace.h"

#include "core/error.h"
#include "generation/host_tensor.h"
#include "generation/picture_encoder.h"
#include "generation/step_batch.h"
#include "image/preprocess.h"

namespace facellm {

namespace {

// [T, D] before the final norm.
at::Tensor hidden_states(const InternVl& model, const Preprocessing& preprocessing, const Prompt& prompt,
                         const Cancellation& cancellation, const Trace& record) {
  const auto& language_model = model.language_model();
  ActiveRequest request;
  std::vector<Picture*> wanted;
  for (const auto& image : prompt.images) {
    // A name of its own each: nothing is taken from elsewhere.
    request.pictures.push_back({image, std::to_string(request.pictures.size()), {}, true});
  }
  for (auto& picture : request.pictures) wanted.push_back(&picture);
  PictureEncoder encoder(model, preprocessing, 0);
  Timings timings{};
  Stopwatch watch(model.options().device());
  while (!wanted.empty()) {
    encoder.encode(wanted, {kTilesAtOnce}, false, timings, watch, cancellation, record);
    std::erase_if(wanted, [](const Picture* picture) { return picture->features.defined(); });
  }
  locate_placeholders(model.config(), prompt, request);
  const auto length = static_cast<int64_t>(prompt.ids.size());
  BlockCache cache(1, length, 0);
  const auto pool = language_model.make_pool(1, length);
  Row row{&request, 0, prompt.ids, {}, RowBlocks(cache, 0), TokenHistory({}, {})};
  row.blocks.grow(length, length);
  const auto batch = make_step_batch(model, pool, {{&row, length}}, {});
  return language_model.forward(batch, pool, cancellation, record);
}

}  // namespace

std::vector<HostTensor> trace_prompt(const InternVl& model, const Preprocessing& preprocessing, const Prompt& prompt,
                                     const Cancellation& cancellation) {
  std::vector<HostTensor> stages;
  const Trace record = [&](const std::string& name, const at::Tensor& value) {
    stages.push_back(to_host(name, value));
  };
  const auto hidden = hidden_states(model, preprocessing, prompt, cancellation, record);
  const auto logits = model.language_model().logits(hidden.unsqueeze(0), record)[0].to(at::kFloat);
  record("logits.last", logits[-1]);
  record("logits.argmax", logits.argmax(-1));
  const auto best = std::get<0>(logits.topk(2, -1));
  record("logits.margin", best.select(-1, 0) - best.select(-1, 1));  // how clearly each position's winner won
  record("logits.logsumexp", logits.logsumexp(-1));
  return stages;
}

HostTensor last_logits(const InternVl& model, const Preprocessing& preprocessing, const Prompt& prompt, int64_t count,
                       const Cancellation& cancellation) {
  const auto length = static_cast<int64_t>(prompt.ids.size());
  if (count < 1 || count > length) {
    throw Error(ErrorCode::kInvalidArgument, "count: expected 1 to " + std::to_string(length) +
                                                 ", the tokens of the prompt, got " + std::to_string(count));
  }
  const auto hidden = hidden_states(model, preprocessing, prompt, cancellation, {});
  return to_host("logits", model.language_model().logits(hidden.narrow(0, length - count, count), {}));
}

}  // namespace facellm

#include "generation/step_engine.h"

#include <c10/core/InferenceMode.h>

#include <algorithm>

#include "core/translate_exception.h"
#include "generation/check_request.h"
#include "generation/choice_tree.h"
#include "generation/step_engine_limits.h"
#include "kernels/product/product.h"

namespace facellm {
namespace {

std::string identity_of(const ImageInput& image, const AdapterIds& adapters) {
  std::string identity = image.key + "/" + std::to_string(image.columns) + "x" + std::to_string(image.rows) +
                         (image.has_thumbnail ? "+1" : "");
  for (const int64_t id : adapters) identity += "/" + std::to_string(id);
  return identity;
}

}  // namespace

StepEngine::StepEngine(InternVl& model, const LoadRequest& request, std::function<void()> require_unchanged)
    : kept_memory_(model.options().device().is_cpu() ? kMostKeptBytes : 0),
      model_(model),
      stream_(model.options().device()),
      require_unchanged_(std::move(require_unchanged)),
      max_context_(std::min(request.max_context, model.config().text.max_position_embeddings)),
      limits_(plan_limits(request, model.language_model().slot_bytes(), model.options().device().is_cpu())),
      cache_(limits_.total_blocks, limits_.block_size,
             request.prefix_cache_bytes / (model.language_model().slot_bytes() * limits_.block_size)),
      pool_([&] {
        const auto stream = stream_.enter();
        return model.language_model().make_pool(limits_.total_blocks + request.is_deterministic, limits_.block_size);
      }()),
      encoder_(model, request.preprocessing, request.image_cache_bytes),
      adapters_(model) {
  const auto stream = stream_.enter();
  if (request.is_deterministic) {
    fill_ = {invariant_row_multiple(model.options()), limits_.total_blocks * limits_.block_size};
    pool_.clear(limits_.total_blocks);
    adapters_.set_invariant();
  }
  if (DeviceStep::serves(model)) {
    const int64_t blocks = std::min(cache_.blocks_for(max_context_ + 1), limits_.total_blocks);
    device_step_ = std::make_unique<DeviceStep>(model, pool_, limits_.most_rows, blocks);
    prompt_graphs_ = std::make_unique<PromptGraphs>(model, pool_);
  }
  if (model.options().device().is_cpu() && !request.is_deterministic) {
    decode_step_ = std::make_unique<DecodeStep>(model.language_model(), pool_);
  }
  publish_stats();
}

StepEngine::~StepEngine() {
  const Error error(ErrorCode::kDisposed, "the model was disposed while it worked");
  while (!requests_.empty()) fail(*requests_.front(), error);
  // A step that nobody reads any more would write into memory that is given to others.
  stream_.wait();
}

void StepEngine::check_room(int64_t tokens) const {
  if (cache_.blocks_for(tokens + 1) <= cache_.total()) return;
  throw Error(ErrorCode::kPromptTooLong,
              "prompt and answer together may take " + std::to_string(tokens) + " tokens, the memory for keys and values "
              "holds " + std::to_string(cache_.total() * cache_.block_size()) +
              "; load with a larger kvMemory, or ask for fewer tokens");
}

ActiveRequest& StepEngine::add(Ticket ticket, const std::vector<int64_t>& adapters, std::vector<ImageInput> images) {
  const auto stack = adapters_.serial_of(adapters);
  auto request = std::make_unique<ActiveRequest>();
  request->ticket = std::move(ticket);
  request->stack = stack;
  for (auto& image : images) {
    auto identity = identity_of(image, adapters_.image_ids_of(stack));
    counts_.received_images += image.rgb != nullptr;
    request->pictures.push_back({std::move(image), std::move(identity), {}});
  }
  requests_.push_back(std::move(request));
  return *requests_.back();
}

void StepEngine::begin(ActiveRequest& request) {
  if (std::exchange(request.has_begun, true)) return;
  const std::chrono::duration<double, std::milli> queue = std::chrono::steady_clock::now() - request.ticket.submitted;
  request.timings.queue = queue.count();
}

void StepEngine::add_rows(ActiveRequest& request, const Prompt& prompt, int64_t count, int64_t most_tokens,
                          const SamplingOptions& sampling, bool uses_prefix_cache, uint64_t prefix_group) {
  constexpr uint64_t kGroups = uint64_t{1} << 62, kStacks = uint64_t{1} << 24;
  request.is_root_shared = uses_prefix_cache;
  request.shares_blocks = uses_prefix_cache || prefix_group != 0 || count > 1;
  // Serials of stacks are small numbers, never given twice: what an unloaded one left behind is found by nobody.
  request.root = uses_prefix_cache    ? request.stack
                 : prefix_group != 0 ? kGroups + prefix_group * kStacks + request.stack
                                     : ~unshared_roots_++;
  locate_placeholders(model_.config(), prompt, request);
  std::vector<TokenIdentity> identities(prompt.ids.begin(), prompt.ids.end());
  int64_t placeholders = 0;
  for (size_t t = 0; t < identities.size(); ++t) {
    const int32_t picture = request.picture_of[t];
    if (picture < 0) continue;
    identities[t] = identities_.of(request.pictures[static_cast<size_t>(picture)].identity, request.place_of[t]);
    ++placeholders;
  }
  for (int32_t number = 0; number < count; ++number) {
    auto row = std::unique_ptr<Row>(new Row{&request, number, prompt.ids, identities, RowBlocks(cache_, request.root),
                                            TokenHistory(sampling, prompt.ids)});
    row->most_tokens = most_tokens;
    row->result.prompt_tokens = static_cast<int64_t>(prompt.ids.size());
    row->result.image_tokens = placeholders;
    waiting_.push_back(row.get());
    request.rows.push_back(std::move(row));
  }
}

void StepEngine::submit(Ticket ticket, GenerateRequest request, Done<GenerateResult> done) {
  const auto fail_ticket = ticket.fail;
  try {
    check_prompt(model_.config(), request.prompt);
    const auto length = static_cast<int64_t>(request.prompt.ids.size());
    check_context(length, max_context_);
    check_sampling(model_.config(), request.sampling);
    const int64_t most = length + std::min(request.max_new_tokens, max_context_ - length);
    check_room(most);
    auto& active = add(std::move(ticket), request.adapters, std::exchange(request.prompt.images, {}));
    add_rows(active, request.prompt, request.rows, most, request.sampling, request.uses_prefix_cache, 0);
    for (auto& row : active.rows) row->choice = static_cast<uint32_t>(request.first_row + row->number);
    active.work = Generation{std::move(request), std::move(done)};
  } catch (...) {
    fail_ticket(translate_current_exception());
  }
}

void StepEngine::submit(Ticket ticket, ChooseRequest request, Done<ChooseResult> done) {
  const auto fail_ticket = ticket.fail;
  try {
    check_prompt(model_.config(), request.prompt);
    check_choices(model_.config(), request);
    const auto length = static_cast<int64_t>(request.prompt.ids.size());
    int64_t widest = 0;
    for (size_t next = 0; next < request.choices.size();) {
      const auto group = next_group(request, next, kTreeTokens);
      if (group.empty()) break;
      widest = std::max(widest, tree_tokens(request, group));
      next = group.back() + 1;
    }
    check_context(length, max_context_);
    check_room(length + widest);
    auto& active = add(std::move(ticket), request.adapters, std::exchange(request.prompt.images, {}));
    add_rows(active, request.prompt, 1, length + widest, {}, request.uses_prefix_cache, request.prefix_group);
    active.work = Choosing{std::move(request), std::move(done)};
  } catch (...) {
    fail_ticket(translate_current_exception());
  }
}

void StepEngine::submit(Ticket ticket, EmbedRequest request, Done<std::vector<HostTensor>> done) {
  const auto fail_ticket = ticket.fail;
  try {
    auto& active = add(std::move(ticket), request.adapters, std::exchange(request.images, {}));
    for (auto& picture : active.pictures) picture.is_needed = true;
    active.work = Embedding{std::move(request), std::move(done)};
  } catch (...) {
    fail_ticket(translate_current_exception());
  }
}

void StepEngine::give_pixels(RequestId id, size_t image, std::shared_ptr<const std::vector<uint8_t>> rgb) {
  for (const auto& request : requests_) {
    if (request->ticket.id != id || image >= request->pictures.size()) continue;
    auto& picture = request->pictures[image];
    try {
      check_pixels(picture.input, rgb->size());
    } catch (const Error& error) {
      fail(*request, error);
      return;
    }
    ++counts_.received_images;
    picture.is_asked = false;
    // Another request may have brought them meanwhile.
    if (!picture.features.defined()) picture.input.rgb = std::move(rgb);
    return;
  }
}

void StepEngine::clear_caches() {
  cache_.clear();
  encoder_.clear();
  if (prompt_graphs_) prompt_graphs_->clear();
  identities_.clear();
  KeptMemory::release();
  publish_stats();
}

EngineStats StepEngine::stats() const {
  const std::lock_guard lock(stats_mutex_);
  return stats_;
}

void StepEngine::publish_stats() {
  auto stats = counts_;
  for (const auto* row : waiting_) stats.waiting_requests += row->number == 0;
  stats.running_rows = static_cast<int64_t>(running_.size());
  stats.total_blocks = cache_.total();
  stats.used_blocks = cache_.in_use();
  stats.cached_blocks = cache_.idle();
  stats.block_tokens = cache_.block_size();
  stats.block_bytes = cache_.block_size() * model_.language_model().slot_bytes();
  for (const auto& request : requests_) {
    stats.pinned_images += std::ranges::count_if(request->pictures, [](const auto& p) { return p.features.defined(); });
  }
  stats.cached_images = encoder_.cached();
  stats.tiles_encoded = encoder_.tiles_encoded();
  const std::lock_guard lock(stats_mutex_);
  stats_ = stats;
}

void StepEngine::note_memory() {
  for (const auto& request : requests_) {
    int64_t bytes = 0;
    for (const auto& row : request->rows) {
      bytes += static_cast<int64_t>(row->blocks.blocks().size()) * stats_.block_bytes;
    }
    for (const auto& picture : request->pictures) {
      if (picture.features.defined()) bytes += static_cast<int64_t>(picture.features.nbytes());
    }
    request->peak_bytes = std::max(request->peak_bytes, bytes);
  }
}

}  // namespace facellm

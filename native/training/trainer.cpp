#include "training/trainer.h"

#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "checkpoint/safetensors_writer.h"
#include "core/device_health.h"
#include "core/error.h"
#include "core/kept_memory.h"
#include "core/runtime.h"
#include "core/stopwatch.h"
#include "lora/adapter.h"
#include "model/open_model.h"
#include "training/batch_loss.h"
#include "training/data_parallel.h"
#include "training/optimizer.h"
#include "training/trainable.h"

namespace facellm {
namespace {

AdapterSpec spec_of(const TrainerRequest& request) {
  AdapterSpec spec;
  for (const auto& [name, rank, scaling] : request.modules) spec.modules.push_back({name, rank, scaling});
  spec.uses_dora = request.uses_dora;
  return spec;
}

bool trains_image_side(const TrainerRequest& request) {
  const auto is_of_it = [](const std::string& part) { return part == "vision" || part == "projector"; };
  if (request.modules.empty()) return std::ranges::any_of(request.parts, is_of_it);
  return std::ranges::any_of(request.modules, [&](const auto& module) { return is_of_it(part_of(module.name)); });
}

void check_sharding(const TrainerRequest& request) {
  std::vector<std::string> problems;
  if (request.modules.empty()) problems.push_back("full fine-tuning: expected LoRA, whose base takes no gradient");
  if (request.uses_dora) problems.push_back("DoRA: expected LoRA, DoRA needs the norms of whole weights");
  if (!request.checkpoints_activations) problems.push_back("expected activations to be recomputed");
  if (request.load.weights.text != "stored") problems.push_back("weights of 8 or 4 bits: every process keeps all of them");
  if (!problems.empty()) {
    throw Error(ErrorCode::kInvalidArgument, "weights cannot be sharded with these settings", std::move(problems));
  }
}

std::vector<TensorToWrite> all_to_write(const ParameterList& list) {
  std::vector<TensorToWrite> tensors;
  for (const auto& [name, tensor] : list) tensors.push_back(to_write(name, tensor));
  return tensors;
}

}  // namespace

struct Trainer::State {
  std::optional<KeptMemory> kept_memory;  // on a CPU: a step needs what the one before needed
  std::unique_ptr<InternVl> model;
  ModelInfo info;
  std::unique_ptr<DataParallel> parallel;  // null: this process trains alone
  std::shared_ptr<Adapter> adapter;  // null: full fine-tuning
  std::shared_ptr<LoraDropout> dropout = std::make_shared<LoraDropout>();
  double dropout_probability = 0;
  uint64_t seed = 0;
  std::unique_ptr<AdamW> optimizer;
  LossSettings settings{};
  std::unique_ptr<ImageFeatureCache> features;
  at::Tensor anchor;

  // Everything that a resumed run must find again, under names that no two settings share.
  ParameterList exact_state() const {
    ParameterList list;
    for (const auto& [name, tensor] : optimizer->parameters()) list.emplace_back(name, tensor.detach());
    for (auto& entry : optimizer->state()) list.push_back(std::move(entry));
    return list;
  }
};

Trainer::Trainer(std::unique_ptr<State> state) : state_(std::move(state)) {}

Trainer::~Trainer() = default;

std::unique_ptr<Trainer> Trainer::create(const TrainerRequest& request,
                                         const std::shared_ptr<ProcessGroup>& group,
                                         const LoadProgress& progress, const Cancellation& cancellation) {
  auto state = std::make_unique<State>();
  if (at::Device(request.load.device).is_cpu()) state->kept_memory.emplace(KeptMemory::kNoLimit);
  if (group) {
    if (request.shards_weights) check_sharding(request);
    state->parallel = std::make_unique<DataParallel>(group, request.shards_weights);
  }
  LoadRequest load = request.load;
  load.uses_mmap = false;  // weights that are trained, or trained upon for days, are our own
  if (request.modules.empty() && load.weights.text != "stored") {
    throw Error(ErrorCode::kInvalidArgument, "weights of 8 or 4 bits take no gradient: expected LoRA, not full fine-tuning");
  }
  const bool trains_pictures = trains_image_side(request);
  // Full fine-tuning writes the whole model, so that all of it must lie as it is stored.
  const auto order = trains_pictures || request.modules.empty() ? WeightOrder::kFrozen : WeightOrder::kFrozenText;
  auto opened = open_model(load, progress, cancellation, group ? state->parallel->place_weights() : PlaceWeights(), order);
  state->model = std::move(opened.model);
  state->info = std::move(opened.info);
  ParameterList leaves;
  if (request.modules.empty()) {
    leaves = trainable_leaves(*state->model, request.parts);
  } else {
    const auto spec = spec_of(request);
    state->adapter = request.adapter_file.empty()
                         ? Adapter::create(*state->model, spec, request.seed)
                         : Adapter::load(*state->model, spec,
                                         Checkpoint::open({request.adapter_file}, {}), at::kFloat);
    activate(*state->model, {state->adapter}, state->dropout);
    leaves = state->adapter->parameters();
  }
  for (auto& [name, tensor] : leaves) tensor.set_requires_grad(true);
  state->dropout_probability = request.dropout;
  state->seed = request.seed;
  const auto& pixels = request.load.preprocessing;
  state->settings = {trains_pictures, request.checkpoints_activations, request.loss_chunk_rows, request.shares_prefix,
                     channel_scale(pixels.mean, pixels.std, pixels.rescale_factor), {}};
  if (group) {
    auto* parallel = state->parallel.get();
    parallel->begin(leaves, state->settings.trains_image_side && request.checkpoints_activations);
    state->info.parameter_bytes += parallel->sharded_bytes();
    if (parallel->shards_weights()) {
      state->settings.before_layer = [parallel](int64_t layer, bool is_backward, const Cancellation& stop) {
        parallel->prepare_layer(layer, is_backward, stop);
      };
    }
  }
  const auto rates = rates_of(leaves, request.rates, state->model->config());
  state->optimizer = std::make_unique<AdamW>(
      std::move(leaves), rates, AdamWOptions{request.beta1, request.beta2, request.eps,
                                      request.weight_decay, request.decays_vectors});
  state->features = std::make_unique<ImageFeatureCache>(request.feature_cache_bytes);
  state->anchor = at::zeros({}, state->model->options()).set_requires_grad(true);
  return std::unique_ptr<Trainer>(new Trainer(std::move(state)));
}

TrainerInfo Trainer::info() const {
  TrainerInfo info{state_->info, 0, state_->optimizer->updates()};
  for (const auto& [name, tensor] : state_->optimizer->parameters()) {
    info.trainable_parameters += tensor.numel();
  }
  return info;
}

MicroResult Trainer::accumulate(const MicroBatch& batch, const Cancellation& cancellation) {
  require_device(state_->info.device);
  try {
    const c10::AutoGradMode grad_mode(true);
    auto* parallel = state_->parallel.get();
    if (batch.samples.empty()) {
      if (parallel == nullptr) throw Error(ErrorCode::kInvalidArgument, "batch.samples: expected at least one");
      parallel->shadow(batch.is_last, cancellation);
      return {};
    }
    state_->dropout->probability = state_->dropout_probability;
    state_->dropout->seed = state_->seed * 0x9e3779b97f4a7c15ULL + batch.draw;
    MicroResult result{};
    Stopwatch watch(state_->model->options().device());
    const auto loss = batch_loss(*state_->model, batch, state_->settings, *state_->features, state_->anchor,
                                 result, watch, cancellation);
    {
      const auto lap = watch.lap(result.backward_ms);
      if (parallel) parallel->before_backward(batch.is_last);
      if (loss.requires_grad()) loss.backward();
      if (parallel) parallel->after_backward(batch.is_last);
    }
    // Not before: a GPU would stand still while the host enqueues the backward pass.
    result.loss = loss.item<double>();
    if (!std::isfinite(result.loss)) {
      throw Error(ErrorCode::kLossNonFinite,
                  "the loss is " + std::to_string(result.loss) +
                      "; lower the learning rate, or train in fp32. The last checkpoint is intact");
    }
    watch.read();
    return result;
  } catch (...) {
    clear_gradients();
    throw;
  }
}

EvaluateResult Trainer::evaluate(const MicroBatch& batch, const Cancellation& cancellation) {
  require_device(state_->info.device);
  const c10::NoGradGuard no_grad;
  if (batch.samples.empty()) {
    if (!state_->parallel) throw Error(ErrorCode::kInvalidArgument, "batch.samples: expected at least one");
    state_->parallel->shadow_forward(cancellation);
    return {};
  }
  state_->dropout->probability = 0;
  EvaluateResult result{};
  Stopwatch watch(state_->model->options().device());
  result.sample_losses = sample_losses(*state_->model, batch, state_->settings, *state_->features, state_->anchor,
                                       result.micro, watch, cancellation);
  for (size_t i = 0; i < batch.samples.size(); ++i) {
    result.micro.loss += batch.samples[i].weight * result.sample_losses[i];
  }
  result.micro.loss /= batch.denominator;
  watch.read();
  return result;
}

void Trainer::clear_gradients() {
  state_->optimizer->clear_gradients();
  if (state_->parallel) state_->parallel->reset();
}

UpdateResult Trainer::update(const UpdateRequest& request, const Cancellation& cancellation) {
  require_device(state_->info.device);
  UpdateResult result{};
  Stopwatch watch(state_->model->options().device());
  try {
    const auto lap = watch.lap(result.optimizer_ms);
    if (state_->parallel) state_->parallel->finish(cancellation);
    result.grad_norm = state_->optimizer->gradient_norm();
    if (!std::isfinite(result.grad_norm)) {
      throw Error(ErrorCode::kLossNonFinite,
                  "the gradient is not finite; lower the learning rate, or train in fp32. No parameter was "
                  "changed, and the last checkpoint is intact");
    }
    state_->optimizer->step(request.learning_rate, result.grad_norm, request.max_grad_norm);
    if (state_->parallel) state_->parallel->reset();
  } catch (...) {
    clear_gradients();  // else the next update would have them twice
    throw;
  }
  watch.read();
  result.peak_bytes = peak_bytes(state_->info.device);
  return result;
}

NamedNorms Trainer::gradient_norms(const Cancellation& cancellation) const {
  const c10::NoGradGuard no_grad;
  if (state_->parallel) state_->parallel->finish(cancellation);
  NamedNorms norms;
  const auto add = [&](const std::string& name, const at::Tensor& grad) {
    norms.emplace_back(name, at::linalg_vector_norm(grad.to(at::kDouble), 2).item<double>());
  };
  if (state_->adapter) {
    for (const auto& [name, tensor] : state_->adapter->parameters()) {
      if (tensor.grad().defined()) add(name, tensor.grad());
    }
    return norms;
  }
  for (const auto& [name, tensor] : state_->model->parameters()) {
    const at::Tensor leaf = tensor.is_view() ? at::Tensor(tensor._base()) : tensor;
    if (!leaf.grad().defined()) continue;
    // The same window of the gradient, itself perhaps a view, as the parameter is of its leaf.
    const auto& grad = leaf.grad();
    add(name, grad.as_strided(tensor.sizes(), tensor.strides(),
                              grad.storage_offset() + tensor.storage_offset()));
  }
  return norms;
}

void Trainer::synchronise(int64_t updates, const Cancellation& cancellation) {
  if (!state_->parallel) return;
  state_->parallel->broadcast(state_->exact_state(), cancellation);
  state_->optimizer->restored(updates);
}

void Trainer::save_adapter(const std::string& file) const {
  if (!state_->adapter) throw Error(ErrorCode::kInvalidArgument, "full fine-tuning has no adapter to save");
  write_safetensors(file, all_to_write(state_->adapter->parameters()), {{"format", "pt"}});
}

void Trainer::save_weights(const std::string& file) const {
  if (state_->parallel && state_->parallel->shards_weights()) {
    throw Error(ErrorCode::kInvalidArgument, "sharded weights are never whole; save the adapter");
  }
  write_safetensors(file, all_to_write(state_->model->parameters()), {{"format", "pt"}});
}

void Trainer::save_state(const std::string& file) const {
  write_safetensors(file, all_to_write(state_->exact_state()), {{"format", "pt"}});
}

void Trainer::restore_state(const std::string& file, int64_t updates) {
  const c10::NoGradGuard no_grad;
  const auto saved = Checkpoint::open({file}, {});
  const auto wanted = state_->exact_state();
  std::vector<std::string> problems;
  for (const auto& [name, tensor] : wanted) {
    const auto found = saved.entries().find(name);
    if (found == saved.entries().end()) {
      problems.push_back("missing tensor " + name);
    } else if (at::IntArrayRef(found->second.shape) != tensor.sizes() ||
               found->second.dtype != tensor.scalar_type()) {
      problems.push_back(name + ": another shape or dtype");
    }
  }
  if (saved.entries().size() > wanted.size()) problems.push_back("tensors of other settings");
  if (!problems.empty()) {
    throw Error(ErrorCode::kCheckpointInvalid,
                file + " belongs to another model or other settings; resume with the run's own",
                std::move(problems));
  }
  // A file that ends in the middle, or a disk that fails, must leave what is being trained as it is.
  std::vector<at::Tensor> values;
  for (const auto& [name, tensor] : wanted) values.push_back(saved.view(name));
  for (size_t i = 0; i < wanted.size(); ++i) at::Tensor(wanted[i].second).copy_(values[i]);
  state_->optimizer->clear_gradients();
  state_->optimizer->restored(updates);
}

}  // namespace facellm

#include "training/sharded_layers.h"

#include <algorithm>
#include <string>
#include <unordered_map>

#include "core/error.h"

namespace facellm {
namespace {

// "language_model.model.layers.12.self_attn.q_proj" -> 12
size_t layer_of(const std::string& module) {
  const std::string key = ".layers.";
  return std::stoul(module.substr(module.find(key) + key.size()));
}

}  // namespace

ShardedLayers::ShardedLayers(std::shared_ptr<ProcessGroup> group, InternVl& model)
    : group_(std::move(group)), options_(model.options()) {
  for (const auto& site : model.linears()) {
    if (!site.linear->weight.is_meta()) continue;
    const size_t index = layer_of(site.slices[0].name);
    if (index >= layers_.size()) layers_.resize(index + 1);
    auto& parts = layers_[index].parts;
    const int64_t offset = parts.empty() ? 0 : parts.back().offset + parts.back().linear->weight.numel();
    parts.push_back({site.linear, offset});
    layer_size_ = std::max(layer_size_, offset + site.linear->weight.numel());
  }
  share_size_ = (layer_size_ + group_->size() - 1) / group_->size();
  for (auto& layer : layers_) layer.share = at::zeros({share_size_}, options_);
}

WeightPlacement ShardedLayers::placement() const {
  struct Place {
    const Layer* layer;
    int64_t offset;
  };
  // Parameters are windows onto these tensors' storages, which meta tensors have, too.
  std::unordered_map<const void*, Place> places;
  for (const auto& layer : layers_) {
    for (const auto& [linear, offset] : layer.parts) {
      places.emplace(linear->weight.storage().unsafeGetStorageImpl(), Place{&layer, offset});
    }
  }
  const int64_t first = group_->rank() * share_size_, last = first + share_size_;
  return [places = std::move(places), first, last](const at::Tensor& parameter) -> WeightPiece {
    const auto found = places.find(parameter.storage().unsafeGetStorageImpl());
    if (found == places.end()) return {0, parameter.view({-1})};
    const int64_t begin = found->second.offset + parameter.storage_offset();
    const int64_t from = std::max(begin, first), to = std::min(begin + parameter.numel(), last);
    if (from >= to) return {0, found->second.layer->share.narrow(0, 0, 0)};
    return {from - begin, found->second.layer->share.narrow(0, from - first, to - from)};
  };
}

void ShardedLayers::install() {
  for (auto& buffer : buffers_) buffer.whole = at::zeros({share_size_ * group_->size()}, options_);
  for (size_t index = 0; index < layers_.size(); ++index) {
    const auto& whole = buffers_[index % 2].whole;
    for (const auto& [linear, offset] : layers_[index].parts) {
      auto& weight = linear->weight;
      weight = whole.narrow(0, offset, weight.numel()).view(weight.sizes());
    }
  }
}

void ShardedLayers::request(int64_t index) {
  auto& buffer = buffers_[static_cast<size_t>(index) % 2];
  if (buffer.layer == index) return;
  buffer.layer = index;
  buffer.pending = group_->all_gather(layers_[static_cast<size_t>(index)].share, buffer.whole);
}

void ShardedLayers::prepare(int64_t index, bool is_backward, const Cancellation& cancellation) {
  request(index);
  auto& buffer = buffers_[static_cast<size_t>(index) % 2];
  if (buffer.pending) {
    group_->wait(*buffer.pending, cancellation);
    buffer.pending.reset();
  }
  // The other buffer's layer has been computed: on a GPU the transport waits for what was enqueued so far.
  const int64_t next = is_backward ? index - 1 : index + 1;
  if (next >= 0 && next < count()) request(next);
}

int64_t ShardedLayers::resident_bytes() const {
  const int64_t elements = share_size_ * (count() + 2 * group_->size());
  return elements * static_cast<int64_t>(c10::elementSize(c10::typeMetaToScalarType(options_.dtype())));
}

}  // namespace facellm

#include "training/data_parallel.h"

#include <c10/core/GradMode.h>

#include <string>
#include <vector>

namespace facellm {
namespace {

constexpr int64_t kBucketBytes = 25 << 20;  // as torch's DistributedDataParallel

bool is_image_side(const std::string& name) {
  return name.find("vision_tower.") != std::string::npos ||
         name.find("multi_modal_projector.") != std::string::npos;
}

// Index of the text layer that a leaf belongs to, or -1. Released and PEFT's names both have the key.
int64_t text_layer_of(const std::string& name) {
  const std::string key = ".layers.";
  const auto found = name.find(key);
  if (is_image_side(name) || found == std::string::npos) return -1;
  return std::stoll(name.substr(found + key.size()));
}

}  // namespace

DataParallel::DataParallel(std::shared_ptr<ProcessGroup> group, bool shards_weights)
    : group_(std::move(group)), shards_weights_(shards_weights) {}

PlaceWeights DataParallel::place_weights() {
  if (!shards_weights_) return {};
  return [this](InternVl& model) {
    sharded_ = std::make_unique<ShardedLayers>(group_, model);
    return sharded_->placement();
  };
}

void DataParallel::begin(const ParameterList& leaves, bool recomputes_images) {
  if (sharded_) sharded_->install();
  std::vector<at::Tensor> tensors;
  std::vector<bool> is_late;
  for (const auto& [name, tensor] : leaves) {
    const int64_t layer = text_layer_of(name);
    if (layer >= 0) {
      const auto index = static_cast<size_t>(layer);
      if (index >= leaves_of_layer_.size()) leaves_of_layer_.resize(index + 1);
      leaves_of_layer_[index].push_back(tensors.size());
    }
    tensors.push_back(tensor);
    is_late.push_back(recomputes_images && is_image_side(name));
  }
  reducer_ = std::make_unique<GradientReducer>(group_, std::move(tensors), is_late, kBucketBytes);
}

void DataParallel::prepare_layer(int64_t index, bool is_backward, const Cancellation& cancellation) {
  sharded_->prepare(index, is_backward, cancellation);
}

void DataParallel::before_backward(bool is_last) {
  if (is_last) reducer_->arm();
}

void DataParallel::after_backward(bool is_last) {
  if (is_last) reducer_->flush();
}

void DataParallel::shadow(bool is_last, const Cancellation& cancellation) {
  if (is_last) reducer_->arm();
  shadow_forward(cancellation);
  if (sharded_) {
    for (int64_t layer = sharded_->count(); layer-- > 0;) {
      sharded_->prepare(layer, true, cancellation);
      // Where a rank with samples would now have this layer's gradients, and may send a bucket.
      const auto index = static_cast<size_t>(layer);
      if (index < leaves_of_layer_.size()) reducer_->pass_over(leaves_of_layer_[index]);
    }
  }
  if (is_last) reducer_->flush();
}

void DataParallel::shadow_forward(const Cancellation& cancellation) {
  if (!sharded_) return;
  for (int64_t layer = 0; layer < sharded_->count(); ++layer) sharded_->prepare(layer, false, cancellation);
}

void DataParallel::broadcast(const ParameterList& tensors, const Cancellation& cancellation) {
  const c10::NoGradGuard no_grad;
  for (const auto& [name, tensor] : tensors) group_->wait(*group_->broadcast(tensor), cancellation);
}

}  // namespace facellm

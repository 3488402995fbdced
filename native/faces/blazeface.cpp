// Layers are numbered in the file in the order in which they are built, so that a walk over the network counts them.
#include "faces/blazeface.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "core/error.h"

namespace facellm {
namespace {

class Walk {
 public:
  explicit Walk(const std::map<std::string, at::Tensor>& weights) : weights_(weights) {}

  at::Tensor conv(const at::Tensor& x, int64_t stride = 1) {
    return apply(x, numbered("conv2d", convs_++), stride, 1);
  }
  at::Tensor depthwise(const at::Tensor& x, int64_t stride = 1) {
    return apply(x, numbered("depthwise_conv2d", depthwises_++), stride, x.size(1));
  }
  at::Tensor head(const at::Tensor& x, const char* name) const { return apply(x, name, 1, 1); }

 private:
  static std::string numbered(const char* name, int number) {
    return number == 0 ? name : name + ("_" + std::to_string(number));
  }

  // TensorFlow's "same": what is short is padded, the odd pixel at the right and at the bottom.
  at::Tensor apply(const at::Tensor& x, const std::string& name, int64_t stride, int64_t groups) const {
    const auto& weight = find(name + ".weight");
    if (weight.size(1) * groups != x.size(1)) {
      throw Error(ErrorCode::kCheckpointInvalid, "the face detector's " + name + " does not fit its network");
    }
    const int64_t size = weight.size(2);
    const int64_t missing = std::max<int64_t>((x.size(2) - 1) / stride * stride + size - x.size(2), 0);
    const int64_t before = missing / 2;
    const bool is_even = missing % 2 == 0;
    const auto padded =
        is_even ? x : at::constant_pad_nd(x, {before, missing - before, before, missing - before});
    return at::conv2d(padded, weight, find(name + ".bias"), stride, is_even ? before : 0, 1, groups);
  }

  const at::Tensor& find(const std::string& name) const {
    const auto found = weights_.find(name);
    if (found != weights_.end()) return found->second;
    throw Error(ErrorCode::kCheckpointInvalid, "the face detector's weights lack " + name);
  }

  const std::map<std::string, at::Tensor>& weights_;
  int convs_ = 0, depthwises_ = 0;
};

// Max-pooled where the block halves the picture, channels of zeros appended where it has more of them.
at::Tensor skip(const at::Tensor& x, int64_t channels, int64_t stride) {
  const auto pooled = stride == 1 ? x : at::max_pool2d(x, 2);
  return channels == x.size(1) ? pooled : at::constant_pad_nd(pooled, {0, 0, 0, 0, 0, channels - x.size(1)});
}

at::Tensor block(Walk& walk, const at::Tensor& x, int64_t stride = 1) {
  const auto y = walk.conv(walk.depthwise(x, stride));
  return (skip(x, y.size(1), stride) + y).relu_();
}

at::Tensor double_block(Walk& walk, const at::Tensor& x, int64_t stride = 1) {
  const auto narrow = walk.conv(walk.depthwise(x, stride)).relu_();
  const auto y = walk.conv(walk.depthwise(narrow));
  return (skip(x, y.size(1), stride) + y).relu_();
}

// [N, k * width, H, W] -> [N, H * W * k, width]: by rows, then columns, then anchors of a cell.
at::Tensor rows(const at::Tensor& x, int64_t width) {
  return x.permute({0, 2, 3, 1}).reshape({x.size(0), -1, width});
}

at::Tensor short_range(Walk walk, at::Tensor x) {
  x = walk.conv(x, 2).relu_();
  for (const int64_t stride : {1, 1, 2, 1, 1, 2, 1, 1, 1, 1, 1}) x = block(walk, x, stride);
  const auto fine = x;  // 16 x 16
  for (const int64_t stride : {2, 1, 1, 1, 1}) x = block(walk, x, stride);
  const auto scores = at::cat({rows(walk.head(fine, "classificator_8"), 1), rows(walk.head(x, "classificator_16"), 1)}, 1);
  const auto boxes = at::cat({rows(walk.head(fine, "regressor_8"), 16), rows(walk.head(x, "regressor_16"), 16)}, 1);
  return at::cat({scores, boxes}, 2);
}

at::Tensor full_range(Walk walk, at::Tensor x) {
  x = walk.conv(x, 2).relu_();
  std::vector<at::Tensor> encoded;  // before each halving but the first: 48, 24 and 12 cells wide
  for (const int64_t stride : {1, 1, 2, 1, 1, 2, 1, 1, 2, 1, 1, 2, 1, 1, 1}) {
    if (stride == 2 && x.size(2) < 96) encoded.push_back(x);
    x = double_block(walk, x, stride);
  }
  for (const int blocks : {2, 2, 1}) {
    const auto top = walk.conv(x).relu_();
    const auto beside = walk.conv(encoded.back()).relu_();
    encoded.pop_back();
    x = at::upsample_bilinear2d(top, {beside.size(2), beside.size(3)}, /*align_corners=*/false) + beside;
    for (int i = 0; i < blocks; ++i) x = double_block(walk, x);
  }
  return at::cat({rows(walk.head(x, "classifier_face_4"), 1), rows(walk.head(x, "regressor_face_4"), 16)}, 2);
}

}  // namespace

BlazeFace::BlazeFace(Network network, const std::string& file) : network_(network) {
  const auto checkpoint = Checkpoint::open({file}, {});
  for (const auto& [name, entry] : checkpoint.entries()) {
    weights_.emplace(name, checkpoint.view(name).to(at::kFloat));
  }
}

at::Tensor BlazeFace::forward(const at::Tensor& input) const {
  const at::InferenceMode guard;
  const Walk walk(weights_);
  return (network_ == Network::kShort ? short_range(walk, input) : full_range(walk, input)).contiguous();
}

}  // namespace facellm

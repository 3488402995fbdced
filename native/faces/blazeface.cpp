// Layers are numbered in the file in the order in which they are built, so that a walk over the network counts them. Rows
// of pixels are computed one after another: a block's depthwise row stays in the first cache until its product is done.
#include "faces/blazeface.h"

#include <tuple>
#include <utility>

#include "checkpoint/checkpoint.h"
#include "core/error.h"
#include "faces/feature_map.h"
#include "faces/lane_kernels.h"

namespace facellm {
namespace {

// TensorFlow's "same" at these sizes, all even: what is short is padded, the odd pixel at the right and at the bottom.
constexpr int64_t pad_before(int64_t size, int64_t stride) { return stride == 1 ? size / 2 : (size - 2) / 2; }

struct Dense {
  int64_t size, in, out;  // of the kernel; channels, `out` filled up; `in` too where the kernel has one pixel
  std::vector<float> weight, bias;
};

struct Depthwise {
  int64_t channels;  // filled up
  std::vector<float> weight, bias;
};

struct Pair {
  Depthwise depthwise;
  Dense dense;
};

// One pair, or two with a narrow middle.
struct Block {
  std::vector<Pair> pairs;
  int64_t stride;
};

struct Decoder {
  Dense top, beside;
  std::vector<Block> blocks;
};

// Scores and boxes of the cells of one map.
struct Head {
  Dense scores, boxes;
  int64_t anchors;  // of a cell
};

[[noreturn]] void misfit(const std::string& name) {
  throw Error(ErrorCode::kCheckpointInvalid, "the face detector's " + name + " does not fit its network");
}

class Reader {
 public:
  explicit Reader(const Checkpoint& checkpoint) : checkpoint_(checkpoint) {}

  Dense conv(int64_t size = 1) { return dense(numbered("conv2d", convs_++), size); }
  Pair pair() {
    auto depthwise = this->depthwise(numbered("depthwise_conv2d", depthwises_++));
    return {std::move(depthwise), conv()};
  }
  Block block(int64_t stride) {
    Block block{{}, stride};
    block.pairs.push_back(pair());
    return block;
  }
  Block double_block(int64_t stride) {
    auto block = this->block(stride);
    block.pairs.push_back(pair());
    return block;
  }
  Head head(const std::string& scores, const std::string& boxes) const {
    const auto anchors = find(scores + ".bias").numel();
    if (find(boxes + ".bias").numel() != (kRowWidth - 1) * anchors) misfit(boxes);
    return {dense(scores, 1), dense(boxes, 1), anchors};
  }

 private:
  static std::string numbered(const char* name, int number) {
    return number == 0 ? name : name + ("_" + std::to_string(number));
  }

  // OIHW -> [H, W, I, O], filled up; `in` as the map has it, of which the picture's alone is not filled up.
  Dense dense(const std::string& name, int64_t size) const {
    const auto weight = find(name + ".weight"), bias = find(name + ".bias");
    if (weight.dim() != 4 || weight.size(2) != size || weight.size(3) != size) misfit(name);
    const int64_t out = weight.size(0), in = weight.size(1);
    Dense layer{size, size == 1 ? padded_channels(in) : in, padded_channels(out), {}, {}};
    layer.weight.resize(static_cast<size_t>(size * size * layer.in * layer.out));
    layer.bias = filled(bias, out, name);
    const float* values = weight.data_ptr<float>();
    for (int64_t o = 0; o < out; ++o) {
      for (int64_t i = 0; i < in; ++i) {
        for (int64_t at = 0; at < size * size; ++at) {
          layer.weight[static_cast<size_t>((at * layer.in + i) * layer.out + o)] = *values++;
        }
      }
    }
    return layer;
  }

  // [C, 1, 3, 3] -> [3, 3, C], filled up.
  Depthwise depthwise(const std::string& name) const {
    const auto weight = find(name + ".weight");
    if (weight.dim() != 4 || weight.size(1) != 1 || weight.size(2) != 3 || weight.size(3) != 3) misfit(name);
    const int64_t channels = weight.size(0);
    Depthwise layer{padded_channels(channels), {}, {}};
    layer.weight.resize(static_cast<size_t>(9 * layer.channels));
    layer.bias = filled(find(name + ".bias"), channels, name);
    const float* values = weight.data_ptr<float>();
    for (int64_t c = 0; c < channels; ++c) {
      for (int64_t at = 0; at < 9; ++at) layer.weight[static_cast<size_t>(at * layer.channels + c)] = *values++;
    }
    return layer;
  }

  static std::vector<float> filled(const at::Tensor& bias, int64_t count, const std::string& name) {
    if (bias.numel() != count) misfit(name);
    std::vector<float> result(bias.data_ptr<float>(), bias.data_ptr<float>() + count);
    result.resize(static_cast<size_t>(padded_channels(count)));
    return result;
  }

  at::Tensor find(const std::string& name) const {
    if (checkpoint_.entries().count(name) != 0) return checkpoint_.view(name).to(at::kFloat).contiguous();
    throw Error(ErrorCode::kCheckpointInvalid, "the face detector's weights lack " + name);
  }

  const Checkpoint& checkpoint_;
  int convs_ = 0, depthwises_ = 0;
};

struct Skip {
  const float* row = nullptr;
  int64_t channels = 0;
};

// One row of pixels; `x` its upper left one.
void multiply(const Dense& layer, const float* x, int64_t pixel_stride, int64_t row_stride, float* out, int64_t pixels,
              bool is_rectified, Skip skip = {}) {
  lane_kernels().multiply({x, pixel_stride, layer.size, row_stride, layer.size * layer.in, layer.weight.data(),
                           layer.bias.data(), skip.row, skip.channels, is_rectified, out, pixels,
                           layer.out});
}

FeatureMap conv(const Dense& layer, const FeatureMap& x, int64_t stride, bool is_rectified = true) {
  if (layer.in != x.channels()) misfit("layers");
  FeatureMap out(x.size() / stride, layer.out);
  const int64_t before = pad_before(layer.size, stride);
  for (int64_t y = 0; y < out.size(); ++y) {
    multiply(layer, x.at(stride * y - before, -before), stride * x.channels(), x.row_stride(), out.at(y, 0), out.size(),
             is_rectified);
  }
  return out;
}

// The largest of 2 x 2, a row of them.
void pool(const FeatureMap& x, int64_t y, float* out) {
  const int64_t channels = x.channels();
  for (int64_t pixel = 0; pixel < x.size() / 2; ++pixel) {
    const float *above = x.at(2 * y, 2 * pixel), *below = x.at(2 * y + 1, 2 * pixel);
    for (int64_t c = 0; c < channels; ++c) {
      *out++ = std::max(std::max(above[c], above[c + channels]), std::max(below[c], below[c + channels]));
    }
  }
}

// Depthwise, then the product; `from` is added, pooled where it is twice as wide, channels that it has not are zeros.
FeatureMap apply(const Pair& pair, const FeatureMap& x, int64_t stride, const FeatureMap* from) {
  const auto& [depthwise, dense] = pair;
  if (depthwise.channels != x.channels() || dense.in != x.channels()) misfit("layers");
  // Channels that only `from` has would be read as another pixel's.
  if (from != nullptr && from->channels() > dense.out) misfit("layers");
  FeatureMap out(x.size() / stride, dense.out);
  std::vector<float> row(static_cast<size_t>(out.size() * depthwise.channels)), pooled;
  if (from != nullptr && from->size() != out.size()) pooled.resize(static_cast<size_t>(out.size() * from->channels()));
  const int64_t before = pad_before(3, stride);
  for (int64_t y = 0; y < out.size(); ++y) {
    lane_kernels().convolve({x.at(stride * y - before, -before), x.row_stride(), stride, depthwise.weight.data(),
                             depthwise.bias.data(), row.data(), out.size(), depthwise.channels});
    Skip skip;
    if (from != nullptr) skip = {from->at(y, 0), from->channels()};
    if (!pooled.empty()) pool(*from, y, pooled.data()), skip.row = pooled.data();
    multiply(dense, row.data(), depthwise.channels, 0, out.at(y, 0), out.size(), true, skip);
  }
  return out;
}

FeatureMap apply(const Block& block, const FeatureMap& x) {
  if (block.pairs.size() == 1) return apply(block.pairs[0], x, block.stride, &x);
  return apply(block.pairs[1], apply(block.pairs[0], x, block.stride, nullptr), 1, &x);
}

// Twice as wide, bilinear with half-pixel centres, edges repeated; added to what is there.
void add_upsampled(const FeatureMap& x, FeatureMap& sum) {
  if (x.channels() != sum.channels()) misfit("decoder");
  const auto place = [&](int64_t at) {
    const float source = std::max((static_cast<float>(at) + 0.5F) * 0.5F - 0.5F, 0.F);
    const auto first = static_cast<int64_t>(source);
    return std::tuple(first, std::min(first + 1, x.size() - 1), source - static_cast<float>(first));
  };
  for (int64_t y = 0; y < sum.size(); ++y) {
    const auto [y0, y1, v] = place(y);
    for (int64_t i = 0; i < sum.size(); ++i) {
      const auto [x0, x1, u] = place(i);
      const float *a = x.at(y0, x0), *b = x.at(y0, x1), *c = x.at(y1, x0), *d = x.at(y1, x1);
      float* out = sum.at(y, i);
      for (int64_t k = 0; k < sum.channels(); ++k) {
        out[k] += (1 - v) * ((1 - u) * a[k] + u * b[k]) + v * ((1 - u) * c[k] + u * d[k]);
      }
    }
  }
}

// By rows, then columns, then anchors of a cell.
void append_rows(const Head& head, const FeatureMap& x, std::vector<float>& rows) {
  constexpr int64_t kBox = kRowWidth - 1;
  const auto scores = conv(head.scores, x, 1, false), boxes = conv(head.boxes, x, 1, false);
  for (int64_t y = 0; y < x.size(); ++y) {
    for (int64_t i = 0; i < x.size(); ++i) {
      for (int64_t anchor = 0; anchor < head.anchors; ++anchor) {
        rows.push_back(scores.at(y, i)[anchor]);
        const float* box = boxes.at(y, i) + kBox * anchor;
        rows.insert(rows.end(), box, box + kBox);
      }
    }
  }
}

// The widest border that a network's first kernel needs.
constexpr int64_t kInputBorder = 2;

FeatureMap interleaved(const float* input, int64_t size) {
  FeatureMap map(size, 3, kInputBorder);
  for (int64_t c = 0; c < 3; ++c) {
    for (int64_t y = 0; y < size; ++y) {
      float* out = map.at(y, 0) + c;
      for (int64_t x = 0; x < size; ++x) out[3 * x] = *input++;
    }
  }
  return map;
}

}  // namespace

struct BlazeFace::Layers {
  Dense first;
  std::vector<Block> encoder;
  std::vector<Decoder> decoders;
  std::vector<Head> heads;
};

BlazeFace::BlazeFace(Network network, const std::string& file) : network_(network) {
  const auto checkpoint = Checkpoint::open({file}, {});
  Reader reader(checkpoint);
  auto layers = std::make_unique<Layers>(Layers{reader.conv(network == Network::kShort ? 5 : 3), {}, {}, {}});
  if (network == Network::kShort) {
    for (const int64_t stride : {1, 1, 2, 1, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1}) {
      layers->encoder.push_back(reader.block(stride));
    }
    layers->heads = {reader.head("classificator_8", "regressor_8"), reader.head("classificator_16", "regressor_16")};
  } else {
    for (const int64_t stride : {1, 1, 2, 1, 1, 2, 1, 1, 2, 1, 1, 2, 1, 1, 1}) {
      layers->encoder.push_back(reader.double_block(stride));
    }
    for (const int blocks : {2, 2, 1}) {
      Decoder decoder{reader.conv(), reader.conv(), {}};
      for (int i = 0; i < blocks; ++i) decoder.blocks.push_back(reader.double_block(1));
      layers->decoders.push_back(std::move(decoder));
    }
    layers->heads = {reader.head("classifier_face_4", "regressor_face_4")};
  }
  layers_ = std::move(layers);
  // Of a file whose layers do not fit each other no picture is to tell.
  const auto rows = forward(std::vector<float>(static_cast<size_t>(3 * input_size(network) * input_size(network))).data());
  if (rows.size() != anchors(network).size() * static_cast<size_t>(kRowWidth)) misfit("heads");
}

BlazeFace::~BlazeFace() = default;
BlazeFace::BlazeFace(BlazeFace&&) noexcept = default;

std::vector<float> BlazeFace::forward(const float* input) const {
  auto x = conv(layers_->first, interleaved(input, input_size(network_)), 2);
  std::vector<FeatureMap> kept;  // before each halving but the first
  for (const auto& block : layers_->encoder) {
    if (block.stride == 2) kept.push_back(x);
    x = apply(block, x);
  }
  std::vector<float> rows;
  if (network_ == Network::kShort) {
    append_rows(layers_->heads[0], kept.back(), rows);  // 16 x 16
    append_rows(layers_->heads[1], x, rows);
    return rows;
  }
  for (const auto& decoder : layers_->decoders) {
    const auto top = conv(decoder.top, x, 1);
    x = conv(decoder.beside, kept.back(), 1);
    kept.pop_back();
    add_upsampled(top, x);
    for (const auto& block : decoder.blocks) x = apply(block, x);
  }
  append_rows(layers_->heads[0], x, rows);
  return rows;
}

}  // namespace facellm

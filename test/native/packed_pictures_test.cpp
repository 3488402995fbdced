// A LoRA run that trains nothing of the image side sees its pictures by packed weights, where the processor has kernels for them; every
// other run keeps that side as it is stored.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "checkpoint/checkpoint.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/packed_matrix.h"
#include "random_adapter.h"
#include "training/trainer.h"
#include "wide_headed_model.h"

namespace facellm {
namespace {

const std::string kText = "language_model.model.layers.1.self_attn.v_proj";
const std::string kVision = "vision_tower.encoder.layer.0.mlp.fc1";

TrainerRequest request_of(const std::string& file, const std::string& dtype) {
  TrainerRequest request{};
  request.load = wide_headed_model(file, dtype);
  request.seed = 3;
  request.beta1 = 0.9;
  request.beta2 = 0.999;
  request.eps = 1e-8;
  request.feature_cache_bytes = 1 << 20;
  return request;
}

std::unique_ptr<Trainer> trainer(const TrainerRequest& request) {
  return Trainer::create(request, nullptr, [](int64_t, int64_t) {}, {});
}

MicroBatch one_picture(const InternVlConfig& config, size_t stride) {
  const auto side = config.vision.image_size;
  std::vector<uint8_t> tile(static_cast<size_t>(3 * side * side));
  for (size_t i = 0; i < tile.size(); ++i) tile[i] = static_cast<uint8_t>(i * stride % 251);
  TrainSample sample{{}, {}, 1.0, {{"picture", std::make_shared<const std::vector<uint8_t>>(std::move(tile))}}};
  sample.ids.assign(static_cast<size_t>(config.image_seq_length), static_cast<int32_t>(config.image_token_id));
  sample.labels.assign(sample.ids.size(), -100);
  for (int32_t id = 20; id < 32; ++id) {
    sample.ids.push_back(id * 53);
    sample.labels.push_back(id < 24 ? -100 : id * 53);
  }
  MicroBatch batch{};
  batch.samples.push_back(std::move(sample));
  batch.denominator = 8;
  batch.is_last = true;
  return batch;
}

TEST(PackedPictures, ArePackedWhereNothingOfTheirSideIsTrained) {
  const TemporaryFolder folder;
  const auto file = folder.file("model");
  auto request = request_of(file, "bf16");
  request.modules = {{kText, 4, 2.0}};
  const auto packed = trainer(request)->info().model;
  request.modules = {{kText, 4, 2.0}, {kVision, 4, 2.0}};
  const auto trained = trainer(request)->info().model;
  request.modules.clear();
  request.parts = {"text"};
  const auto written = trainer(request);
  EXPECT_EQ(trained.packed_bytes, 0);
  EXPECT_EQ(written->info().model.packed_bytes, 0);
  EXPECT_EQ(packed.packed_bytes > 0, PackedMatrix::suits_all_rows(cpu_kernels()));
  EXPECT_EQ(packed.parameter_count, trained.parameter_count);
  // Nothing is kept twice; blocks of 32 rows are filled up.
  EXPECT_GE(packed.parameter_bytes, trained.parameter_bytes);
  EXPECT_LT(packed.parameter_bytes, 1.2 * trained.parameter_bytes);
  // Full fine-tuning writes the tower, too.
  written->save_weights(folder.file("saved"));
  const auto saved = Checkpoint::open({folder.file("saved")}, {}), own = Checkpoint::open({file}, {});
  const auto name = kVision + ".weight";
  EXPECT_TRUE(saved.view(name).equal(own.view(name).to(at::kBFloat16)));
}

TEST(PackedPictures, TeachWhatTheModelInFp32Teaches) {
  const TemporaryFolder folder;
  const auto file = folder.file("model");
  const auto learn = [&](const std::string& dtype, size_t stride) {
    auto request = request_of(file, dtype);
    request.modules = {{kText, 4, 2.0}};
    const auto own = trainer(request);
    const auto batch = one_picture(request.load.config, stride);
    own->accumulate(batch, {});
    own->update({1e-2, 0}, {});
    own->accumulate(batch, {});  // from the vectors that are kept
    return own->gradient_norms({});
  };
  const auto norms = learn("bf16", 7), wide = learn("fp32", 7), other = learn("fp32", 90);
  ASSERT_EQ(norms.size(), wide.size());
  // bf16 activations are held to 2e-2 (docs/numerics.md); gradients take twice as many roundings.
  double most = 0;
  for (size_t i = 0; i < norms.size(); ++i) {
    EXPECT_NEAR(norms[i].second, wide[i].second, 4e-2 * wide[i].second) << wide[i].first;
    most = std::max(most, std::abs(other[i].second / wide[i].second - 1));
  }
  EXPECT_GT(most, 4e-2) << "another picture would not be told from this one";
}

}  // namespace
}  // namespace facellm

// A LoRA run that trains nothing of the image side sees its pictures by packed weights, where the processor has kernels for them; every
// other run keeps that side as it is stored.
#include <gtest/gtest.h>

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

MicroBatch one_picture(const InternVlConfig& config) {
  const auto side = config.vision.image_size;
  std::vector<uint8_t> tile(static_cast<size_t>(3 * side * side));
  for (size_t i = 0; i < tile.size(); ++i) tile[i] = static_cast<uint8_t>(i * 7 % 251);
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

bool has_kernels() { return PackedMatrix::suits(cpu_kernels(), 1); }

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
  EXPECT_EQ(packed.packed_bytes > 0, has_kernels());
  EXPECT_EQ(packed.parameter_count, trained.parameter_count);
  // Blocks of 32 rows are filled up; nothing is kept twice where kernels take any number of rows.
  EXPECT_GE(packed.parameter_bytes, trained.parameter_bytes);
  if (PackedMatrix::suits_all_rows(cpu_kernels())) EXPECT_LT(packed.parameter_bytes, 1.2 * trained.parameter_bytes);
  // Full fine-tuning writes the tower, too.
  written->save_weights(folder.file("saved"));
  const auto saved = Checkpoint::open({folder.file("saved")}, {}), own = Checkpoint::open({file}, {});
  const auto name = kVision + ".weight";
  EXPECT_TRUE(saved.view(name).equal(own.view(name).to(at::kBFloat16)));
}

TEST(PackedPictures, TeachWhatTheModelInFp32Teaches) {
  const TemporaryFolder folder;
  const auto file = folder.file("model");
  const auto learn = [&](const std::string& dtype, std::vector<TrainedModule> modules) {
    auto request = request_of(file, dtype);
    request.modules = std::move(modules);
    const auto own = trainer(request);
    const auto batch = one_picture(request.load.config);
    own->accumulate(batch, {});
    own->update({1e-2, 0}, {});
    const double loss = own->accumulate(batch, {}).loss;  // from the vectors that are kept
    return std::pair(loss, own->gradient_norms({}));
  };
  const auto [loss, norms] = learn("bf16", {{kText, 4, 2.0}});
  const auto [wide_loss, wide_norms] = learn("fp32", {{kText, 4, 2.0}});
  // bf16 activations and logits are held to 2e-2 (docs/numerics.md); of gradients, twice as many roundings.
  EXPECT_NEAR(loss, wide_loss, 2e-2 * wide_loss);
  ASSERT_EQ(norms.size(), wide_norms.size());
  for (size_t i = 0; i < norms.size(); ++i) {
    EXPECT_GT(wide_norms[i].second, 0) << wide_norms[i].first;
    EXPECT_NEAR(norms[i].second, wide_norms[i].second, 4e-2 * wide_norms[i].second) << wide_norms[i].first;
  }
}

}  // namespace
}  // namespace facellm

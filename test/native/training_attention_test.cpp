// Training whose attention goes by the processor's own kernels: activations that are computed again are those that were kept, and
// gradients are those of the model in fp32 within bf16's roundings.
#include <gtest/gtest.h>

#include <cmath>

#include "random_adapter.h"
#include "training/trainer.h"
#include "wide_headed_model.h"

namespace facellm {
namespace {

struct Learnt {
  double loss;
  NamedNorms norms;
};

Learnt learn(const std::string& file, const std::string& dtype, bool checkpoints_activations) {
  TrainerRequest request{};
  request.load = wide_headed_model(file, dtype);
  for (const char* part : {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj"}) {
    for (const char* layer : {"0.", "1."}) request.modules.push_back({std::string("language_model.model.layers.") + layer + part, 4, 2.0});
  }
  request.seed = 3;
  request.beta1 = 0.9;
  request.beta2 = 0.999;
  request.eps = 1e-8;
  request.checkpoints_activations = checkpoints_activations;
  const auto trainer = Trainer::create(request, nullptr, [](int64_t, int64_t) {}, {});
  MicroBatch batch{};
  for (const int32_t length : {40, 77, 2}) {
    TrainSample sample{{}, {}, 1.0, {}};
    for (int32_t t = 0; t < length; ++t) {
      sample.ids.push_back(10 + (length * 31 + t * 17) % 2000);
      sample.labels.push_back(t < length / 2 ? -100 : sample.ids.back());
    }
    batch.samples.push_back(std::move(sample));
  }
  batch.denominator = 60;
  batch.is_last = true;
  // B starts as zeros: A's gradients come with the second.
  trainer->accumulate(batch, {});
  trainer->update({1e-2, 0}, {});
  const double loss = trainer->accumulate(batch, {}).loss;
  return {loss, trainer->gradient_norms({})};
}

TEST(TrainingAttention, RecomputedIsKeptBitForBitAndNearFp32) {
  const TemporaryFolder folder;
  const auto file = folder.file("model");
  const auto kept = learn(file, "bf16", false), again = learn(file, "bf16", true), wide = learn(file, "fp32", false);
  EXPECT_EQ(kept.loss, again.loss);
  EXPECT_EQ(kept.norms, again.norms);
  // bf16 activations and logits are held to 2e-2 (docs/numerics.md); of gradients, twice as many roundings.
  EXPECT_NEAR(kept.loss, wide.loss, 2e-2 * wide.loss);
  ASSERT_EQ(kept.norms.size(), wide.norms.size());
  for (size_t i = 0; i < kept.norms.size(); ++i) {
    EXPECT_GT(wide.norms[i].second, 0) << wide.norms[i].first;
    EXPECT_NEAR(kept.norms[i].second, wide.norms[i].second, 4e-2 * wide.norms[i].second) << wide.norms[i].first;
  }
}

}  // namespace
}  // namespace facellm

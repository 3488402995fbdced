// Each stage is charged its own work, and what a trainer tells of its stages arrives.
#include "core/stopwatch.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "devices.h"
#include "tiny_model.h"
#include "training/trainer.h"

namespace facellm {
namespace {

TEST(Stopwatch, ChargesEachStageItsOwnWork) {
  for (const auto& name : test_devices()) {
    const at::Device device(name == "cpu" ? "cpu" : "cuda:0");
    const auto x = at::ones({1024, 1024}, at::TensorOptions(at::kFloat).device(device));
    at::mm(x, x);  // what a first product sets up is not the stage's
    double products = 0, reading = 0;
    Stopwatch watch(device);
    at::Tensor sum;
    {
      const auto lap = watch.lap(products);
      for (int i = 0; i < 10; ++i) sum = at::mm(x, x);
    }
    {
      // On a GPU this is where the host waits for the products.
      const auto lap = watch.lap(reading);
      EXPECT_EQ(sum[0][0].item<float>(), 1024.f);
    }
    EXPECT_EQ(products, 0.0) << "nothing is read before read()";
    watch.read();
    EXPECT_GT(products, reading) << name;
    EXPECT_GT(reading, 0.0) << name;
  }
}

TEST(Stopwatch, AddsUpTheLapsOfACounterAndReadsEachOnce) {
  double total = 0;
  Stopwatch watch(at::kCPU);
  for (int i = 0; i < 3; ++i) const auto lap = watch.lap(total);
  watch.read();
  const double once = total;
  EXPECT_GT(once, 0.0);
  watch.read();
  EXPECT_EQ(total, once);
  const auto open = watch.lap(total);
  watch.read();
  EXPECT_EQ(total, once) << "a lap that has not ended has no time";
}

TEST(Stopwatch, TrainingTellsTheTimeOfEveryStage) {
  for (const auto& device : test_devices()) {
    TrainerRequest request{};
    request.load = tiny_model(kTinyWeights, "fp32");
    request.load.device = device;
    request.modules = {{"language_model.model.layers.0.self_attn.q_proj", 2, 1.0}};
    request.beta1 = 0.9;
    request.beta2 = 0.999;
    request.eps = 1e-8;
    const auto trainer = Trainer::create(request, nullptr, [](int64_t, int64_t) {}, {});
    EXPECT_GT(trainer->info().model.load_ms, 0.0) << device;
    MicroBatch batch{};
    const auto tiles = std::make_shared<const std::vector<uint8_t>>(3 * 56 * 56, 100);
    batch.samples = {{{2072, 2072, 2072, 2072, 7, 8}, {-100, -100, -100, -100, 7, 8}, 1.0, {{"face", tiles}}}};
    batch.denominator = 2;
    batch.is_last = true;
    const auto result = trainer->accumulate(batch, {});
    EXPECT_GT(result.vision_ms, 0.0) << device;
    EXPECT_GT(result.forward_ms, 0.0) << device;
    EXPECT_GT(result.backward_ms, 0.0) << device;
    EXPECT_GT(trainer->update({1e-3, 0}, {}).optimizer_ms, 0.0) << device;
  }
}

}  // namespace
}  // namespace facellm

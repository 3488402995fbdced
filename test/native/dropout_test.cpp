// native/lora: dropout's masks are those of its contract on every device, as likely as asked for, and the gradient's are
// the result's.
#include "lora/dropout.h"

#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "core/mixed_seed.h"
#include "devices.h"

namespace facellm {
namespace {

// Of the mean of n draws of probability p, in standard deviations.
double deviation(double mean, double p, double n) { return std::abs(mean - p) / std::sqrt(p * (1 - p) / n); }

TEST(Dropout, IsTheFunctionOfKeyAndElementThatItsHeaderNames) {
  // Beyond what is computed at once, so that counting goes on there.
  constexpr int64_t kCount = (int64_t{1} << 22) + 1000;
  for (const std::string name : {"cpu", "composed", "cuda"}) {
    if (name == "cuda" && !at::hasCUDA()) continue;
    for (const uint64_t key : {uint64_t{0}, uint64_t{0xfedcba9876543210}}) {
      for (const double probability : {0.05, 0.5, 0.9}) {
        const auto mask = name == "composed" ? dropped_composed(kCount, probability, key, at::kCPU)
                                             : dropped(kCount, probability, key, at::Device(name)).cpu();
        const auto* values = mask.const_data_ptr<bool>();
        const double bound = ((1 - probability) * 0x1p24) - 0x1p23;
        for (int64_t i = 0; i < kCount; i += i < 5000 || i > kCount - 5000 ? 1 : 997) {
          const auto draw = static_cast<int64_t>(mixed_seed(key, static_cast<uint64_t>(i))) >> 40;
          ASSERT_EQ(values[i], static_cast<double>(draw) >= std::round(bound)) << name << " " << key << " at " << i;
        }
      }
    }
  }
}

TEST(Dropout, IsAsLikelyAsAskedForAndIndependentOfOtherKeys) {
  constexpr int64_t kCount = 1'000'000;
  for (const double p : {0.01, 0.1, 0.5, 0.95}) {
    const auto one = dropped(kCount, p, mixed_seed(7, 0), at::kCPU).to(at::kDouble);
    const auto other = dropped(kCount, p, mixed_seed(7, 1), at::kCPU).to(at::kDouble);
    // Seeds are fixed: these are facts, chosen so that chance alone would rarely exceed them.
    EXPECT_LT(deviation(one.mean().item<double>(), p, kCount), 4.0);
    EXPECT_LT(deviation((one * other).mean().item<double>(), p * p, kCount), 4.0);
    const auto next = one.narrow(0, 0, kCount - 1) * one.narrow(0, 1, kCount - 1);
    EXPECT_LT(deviation(next.mean().item<double>(), p * p, kCount), 4.0);
  }
}

TEST(Dropout, ScalesWhatStaysAndTheGradientFallsWhereTheResultDid) {
  for (const auto& name : test_devices()) {
    const at::Device device(name);
    for (const auto dtype : {at::kFloat, at::kBFloat16}) {
      // Rows of a larger matrix: elements count in the order of the shape, whatever the strides.
      const auto whole = at::arange(1, 61, at::TensorOptions(dtype).device(device)).view({6, 10});
      const auto x = whole.narrow(1, 2, 7).detach().set_requires_grad(true);
      const c10::AutoGradMode grad_mode(true);
      const auto y = drop(x, 0.4, 11);
      const auto falls = dropped(42, 0.4, 11, at::kCPU).view({6, 7});
      const auto expected = x.detach().cpu().mul(1 / 0.6).masked_fill_(falls, 0);
      EXPECT_TRUE(at::equal(y.detach().cpu(), expected)) << name;
      y.sum().backward();
      const auto ones = at::ones({6, 7}, dtype).mul_(1 / 0.6).masked_fill_(falls, 0);
      EXPECT_TRUE(at::equal(x.grad().cpu(), ones)) << name;
      // What is no number elsewhere must not come through a fallen element.
      const auto holes = at::full({42}, NAN, at::TensorOptions(dtype).device(device));
      const c10::NoGradGuard no_grad;
      EXPECT_EQ(drop(holes, 0.4, 11).isnan().sum().item<int64_t>(), 42 - falls.sum().item<int64_t>());
    }
  }
}

}  // namespace
}  // namespace facellm

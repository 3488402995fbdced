// The device itself: what it must refuse, and what it must notice.
#include <ATen/ATen.h>
#include <ATen/native/transformers/sdp_utils_cpp.h>
#include <c10/core/Event.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "pretend_cuda.h"

namespace pretend_cuda {
namespace {

const at::TensorOptions kOnDevice(at::kCUDA);

TEST(PretendMemory, FaultsWhenTheHostReadsIt) {
  const auto x = at::zeros({10}, kOnDevice);
  EXPECT_EXIT(std::printf("%f", x.const_data_ptr<float>()[3]), testing::ExitedWithCode(86),
              "the host touches the device's memory: byte 12 of an allocation of 40 bytes on cuda:0");
}

TEST(PretendMemory, HoldsNaNUntilWritten) {
  EXPECT_TRUE(at::empty({7}, kOnDevice).isnan().all().item<bool>());
  EXPECT_TRUE(at::empty({7}, kOnDevice.dtype(at::kBFloat16)).isnan().all().item<bool>());
}

TEST(PretendMemory, NoticesWritesBehindTheEnd) {
  {
    const auto x = at::zeros({3}, kOnDevice);
    const auto beyond = x.as_strided({1}, {1}, 2);  // the last element
    EXPECT_ANY_THROW(x.as_strided({1}, {1}, 3).item<float>());  // libtorch's own check
    beyond.fill_(1);
  }
  EXPECT_TRUE(take_complaints().empty());
}

TEST(PretendMemory, RunsOutWhereToldAndOnlyThere) {
  const int64_t before = live_bytes(0);
  fail_allocation(1);
  const auto first = at::empty({4}, kOnDevice);
  EXPECT_THROW(at::empty({4}, kOnDevice), c10::OutOfMemoryError);
  const auto second = at::empty({4}, kOnDevice);
  EXPECT_EQ(live_bytes(0), before + 32);
  limit_memory(before + 40);
  EXPECT_THROW(at::empty({4}, kOnDevice), c10::OutOfMemoryError);
  limit_memory(-1);
}

TEST(PretendCopies, AreCountedByKind) {
  const auto host = at::ones({6}), pinned = at::empty({6}, at::TensorOptions().pinned_memory(true));
  auto x = at::empty({6}, kOnDevice);
  reset_counts();
  x.copy_(host);
  x.copy_(pinned.fill_(2), /*non_blocking=*/true);
  EXPECT_EQ(x.cpu()[5].item<float>(), 2);
  x.copy_(x.clone());
  const auto c = counts();
  EXPECT_EQ(c.pageable_uploads, 1);
  EXPECT_EQ(c.pinned_uploads, 1);
  EXPECT_EQ(c.downloads, 1);
  EXPECT_EQ(c.device_copies, 2);
  EXPECT_EQ(c.waits, (std::map<std::string, int64_t>{{"upload", 1}, {"download", 1}}));
}

TEST(PretendCopies, NoticePinnedMemoryUsedTooSoon) {
  auto pinned = at::zeros({6}, at::TensorOptions().pinned_memory(true));
  auto x = at::empty({6}, kOnDevice);
  const auto stream = c10::impl::VirtualGuardImpl(at::kCUDA).getStream({at::kCUDA, 0});
  c10::Event sent(at::kCUDA);
  x.copy_(pinned, true);
  sent.record(stream);
  sent.synchronize();
  pinned.fill_(1);  // right: the copy was waited for
  EXPECT_TRUE(take_complaints().empty());
  x.copy_(pinned, true);
  pinned.fill_(2);
  (void)x.sum().item<float>();
  EXPECT_EQ(take_complaints().size(), 1u);
  // The other way, the target holds nothing before that.
  pinned.copy_(x, true);
  EXPECT_TRUE(pinned.isnan().all().item<bool>());
  stream.synchronize();
  EXPECT_EQ(pinned[0].item<float>(), 1);
}

TEST(PretendStreams, NoticeWorkThatIsNotInOrder) {
  const c10::impl::VirtualGuardImpl guard(at::kCUDA);
  const c10::Device device(at::kCUDA, 0);
  const auto first = guard.getStream(device), second = guard.getNewStream(device);
  const auto on_second = [&](const auto& work) {
    guard.exchangeStream(second);
    work();
    guard.exchangeStream(first);
  };
  auto x = at::ones({4}, kOnDevice);
  at::Tensor y;
  on_second([&] { y = x + 1; });
  EXPECT_EQ(take_complaints().size(), 1u) << "reads what was just written";
  x.fill_(2);
  EXPECT_EQ(take_complaints().size(), 1u) << "writes what is being read";
  c10::Event done(at::kCUDA);
  done.record(first);
  on_second([&] {
    done.block(second);
    y.copy_(x);
  });
  EXPECT_TRUE(take_complaints().empty());
  x = at::Tensor();
  EXPECT_EQ(take_complaints().size(), 1u) << "is freed while it is being read";
  // The host's wait is everybody's.
  second.synchronize();
  y.fill_(3);
  EXPECT_TRUE(take_complaints().empty());
  guard.synchronizeDevice(0);
}

TEST(PretendOperators, RefuseMixedDevicesInLibtorchsWords) {
  const auto here = at::ones({4}, kOnDevice), host = at::ones({4}), there = at::ones({4}, at::TensorOptions(at::Device(at::kCUDA, 1)));
  for (const auto& other : {host, there}) {
    try {
      (void)(here + other);
      FAIL() << "expected an error";
    } catch (const c10::Error& error) {
      EXPECT_NE(std::string(error.what()).find("Expected all tensors to be on the same device"), std::string::npos);
    }
  }
  EXPECT_EQ((here + at::scalar_tensor(2)).sum().item<float>(), 12);  // a number may be the host's
  EXPECT_EQ((here + there.to(here.device())).sum().item<float>(), 8);
}

TEST(PretendOperators, KeepViewsViewsAndResizeOutputs) {
  const auto x = at::zeros({2, 3}, kOnDevice);
  x.transpose(0, 1).select(0, 1).fill_(5);
  EXPECT_EQ(x.sum().item<float>(), 10);
  x.unfold(1, 2, 1).select(2, 0).fill_(1);
  EXPECT_EQ(x.cpu().select(0, 0)[0].item<float>(), 1);
  EXPECT_EQ(at::arange(5, kOnDevice).sum().item<int64_t>(), 10);
  auto out = at::empty({0}, kOnDevice);
  at::cat_out(out, {x, x});
  EXPECT_EQ(out.size(0), 4);
  std::vector<at::Tensor> list{at::ones({2}, kOnDevice), at::ones({3}, kOnDevice)};
  reset_counts();
  at::_foreach_mul_(list, 3);
  EXPECT_EQ(counts().total_operations(), 1);
  EXPECT_EQ(list[1].sum().item<float>(), 9);
}

// The fused kernels' gradients against those of libtorch's composed attention on the CPU.
TEST(PretendAttention, ForwardAndBackwardAreTheComposedOnes) {
  at::manual_seed(1);
  struct Case {
    at::ScalarType dtype;
    int64_t heads, kv_heads;
    bool is_causal, has_mask;
    const char* expected;
  };
  for (const auto& [dtype, heads, kv_heads, is_causal, has_mask, expected] :
       {Case{at::kFloat, 4, 4, true, false, "efficient_attention"}, {at::kFloat, 4, 4, false, true, "efficient_attention"},
        {at::kBFloat16, 4, 2, true, false, "flash_attention"}, {at::kFloat, 4, 2, true, false, ""}}) {
    const int64_t length = 5;
    const auto make = [&, dtype = dtype](int64_t count) { return at::randn({2, count, length, 8}).to(dtype); };
    const std::vector<at::Tensor> values{make(heads), make(kv_heads), make(kv_heads)};
    const auto weight = make(heads), mask = at::ones({length, length}, at::kBool).tril();
    const auto run = [&, is_causal = is_causal, has_mask = has_mask, grouped = heads != kv_heads](at::Device device, at::ScalarType type) {
      std::vector<at::Tensor> leaves;
      for (const auto& x : values) leaves.push_back(x.to(type).to(device).set_requires_grad(true));
      const auto out = at::scaled_dot_product_attention(leaves[0], leaves[1], leaves[2],
                                                        has_mask ? std::optional(mask.to(device)) : std::nullopt, 0.0, is_causal,
                                                        std::nullopt, grouped);
      (out * weight.to(type).to(device)).sum().backward();
      std::vector<at::Tensor> result{out.detach().cpu().to(at::kDouble)};
      for (const auto& leaf : leaves) result.push_back(leaf.grad().cpu().to(at::kDouble));
      return result;
    };
    reset_counts();
    const auto own = run(at::kCUDA, dtype);
    const auto operations = counts().operations;
    EXPECT_EQ(operations.contains("flash_attention"), std::strcmp(expected, "flash_attention") == 0);
    EXPECT_EQ(operations.contains("efficient_attention"), std::strcmp(expected, "efficient_attention") == 0);
    const auto truth = run(at::kCPU, at::kDouble);
    // One rounding of the result, and of bf16's gradient of the output.
    const double step = dtype == at::kFloat ? 0x1p-20 : 0x1p-6;
    for (size_t i = 0; i < own.size(); ++i) {
      EXPECT_LE((own[i] - truth[i]).abs().max().item<double>(), step * truth[i].abs().max().item<double>()) << expected << i;
    }
  }
}

TEST(PretendSteps, NameTheFirstDifferenceAndBrokenRules) {
  auto x = at::zeros({4}, kOnDevice);
  const auto step = [&](int64_t rows, bool waits) {
    begin_step();
    x.narrow(0, 0, rows).add_(1);
    if (waits) (void)x.sum().item<float>();
    return end_step();
  };
  const auto a = step(3, false), b = step(3, false), c = step(2, false), d = step(3, true);
  EXPECT_EQ(first_difference(a, b), "");
  EXPECT_NE(first_difference(a, c).find("[3]"), std::string::npos);
  EXPECT_TRUE(a.broken.empty());
  EXPECT_FALSE(d.broken.empty());
  EXPECT_EQ(d.left_alive, 0);
}

}  // namespace
}  // namespace pretend_cuda

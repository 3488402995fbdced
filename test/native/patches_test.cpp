// What stands before and behind the tower's patch projection: on every device the bits of the plain expressions on the CPU.
#include <gtest/gtest.h>

#include <array>
#include <functional>

#include "core/error.h"
#include "devices.h"
#include "kernels/embed_patches/embed_patches.h"
#include "kernels/patchify/patchify.h"
#include "kernels/patchify/patchify_cuda.h"

namespace facellm {
namespace {

constexpr double kMean[] = {0.485, 0.456, 0.406}, kStd[] = {0.229, 0.224, 0.225};
const ChannelScale kScale = channel_scale(kMean, kStd, 1.0 / 255);

at::Tensor bits(const at::Tensor& x) { return x.contiguous().view(x.scalar_type() == at::kFloat ? at::kInt : at::kShort).cpu(); }

TEST(Patchify, ScaleIsAsTheReferenceRoundsIt) {
  for (const double factor : {1.0 / 255, 0.0039215686, 1.0, 0.3}) {
    const auto own = channel_scale(kMean, kStd, factor);
    const auto scaled = [&](const double (&values)[3]) { return at::tensor(at::ArrayRef<double>(values, 3), at::kFloat) * (1.0 / factor); };
    EXPECT_TRUE(at::equal(at::tensor(at::ArrayRef<float>(own.mean, 3)), scaled(kMean))) << factor;
    EXPECT_TRUE(at::equal(at::tensor(at::ArrayRef<float>(own.std, 3)), scaled(kStd))) << factor;
  }
}

// Shapes of the towers, of the tiny models, and such that are aligned to nothing; two tiles of three, so that they begin somewhere.
TEST(Patchify, BitsOfThePlainVersionOnEveryDevice) {
  at::manual_seed(1);
  for (const auto& [side, patch] : {std::array<int64_t, 2>{4, 14}, {8, 14}, {32, 14}, {9, 5}, {16, 2}, {5, 1}, {1, 7}, {2, 200}}) {
    const auto tiles = at::randint(256, {3, 3, side * patch, side * patch}, at::kByte).narrow(0, 1, 2);
    for (const auto dtype : {at::kFloat, at::kBFloat16}) {
      const auto plain = patchify_reference(tiles, kScale, patch, dtype);
      EXPECT_EQ(plain.sizes(), (at::IntArrayRef{2, side * side, 3 * patch * patch}));
      for (const auto& device : test_devices()) {
        const auto actual = patchify(tiles.to(at::Device(device)), kScale, patch, dtype);
        EXPECT_EQ(actual.scalar_type(), dtype);
        EXPECT_TRUE(at::equal(bits(actual), bits(plain))) << device << " " << c10::toString(dtype) << " " << side << " x " << patch;
      }
    }
  }
  EXPECT_GT(3 * 200 * 200, kPatchifySharedBytes);  // the last one goes the plain way on a GPU
}

TEST(Patchify, AnyStrideAnyDtypeAndNoTiles) {
  at::manual_seed(2);
  const auto tiles = at::randint(256, {2, 8, 8, 3}, at::kByte).permute({0, 3, 1, 2});
  for (const auto& device : test_devices()) {
    const auto own = tiles.to(at::Device(device));
    EXPECT_TRUE(at::equal(patchify(own, kScale, 4, at::kFloat).cpu(), patchify_reference(tiles, kScale, 4, at::kFloat)));
    EXPECT_EQ(patchify(own.narrow(0, 0, 0), kScale, 4, at::kBFloat16).sizes(), (at::IntArrayRef{0, 4, 48}));
  }
  EXPECT_TRUE(at::equal(patchify(tiles, kScale, 4, at::kDouble), patchify_reference(tiles, kScale, 4, at::kDouble)));
}

TEST(EmbedPatches, BitsOfThePlainVersionOnEveryDevice) {
  at::manual_seed(3);
  for (const auto& [tiles, count, size] : {std::array<int64_t, 3>{1, 16, 64}, {3, 16, 64}, {2, 7, 1024}, {2, 3, 33}, {1, 1, 1}, {0, 4, 8}}) {
    for (const auto dtype : {at::kFloat, at::kBFloat16}) {
      const auto patches = at::randn({tiles, count, size}).to(dtype), token = at::randn({1, 1, size}).to(dtype);
      const auto positions = at::randn({1, count + 1, size}).to(dtype);
      const auto plain = embed_patches_reference(patches, token, positions);
      for (const auto& device : test_devices()) {
        const auto on = [&](const at::Tensor& x) { return x.to(at::Device(device)); };
        const auto actual = embed_patches(on(patches), on(token), on(positions));
        EXPECT_EQ(actual.sizes(), plain.sizes());
        EXPECT_TRUE(at::equal(bits(actual), bits(plain))) << device << " " << c10::toString(dtype) << " " << plain.sizes();
      }
    }
  }
}

TEST(EmbedPatches, GradientsOfWhateverLearns) {
  at::manual_seed(4);
  for (const auto& device : test_devices()) {
    const auto options = at::TensorOptions(at::Device(device)).dtype(at::kFloat);
    for (int learns = 0; learns < 3; ++learns) {
      std::array<at::Tensor, 3> own{at::randn({2, 4, 8}, options), at::randn({1, 1, 8}, options), at::randn({1, 5, 8}, options)};
      own[static_cast<size_t>(learns)].set_requires_grad(true);
      embed_patches(own[0], own[1], own[2]).sum().backward();
      // Each is added once a tile, patches once at all.
      const auto grad = own[static_cast<size_t>(learns)].grad();
      ASSERT_TRUE(grad.defined()) << learns;
      EXPECT_TRUE(at::equal(grad.cpu(), at::full(grad.sizes(), learns == 0 ? 1.f : 2.f))) << learns;
    }
  }
}

size_t problems(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    return error.details().size();
  }
  return 0;
}

TEST(Patches, WrongArgumentsAreListed) {
  EXPECT_EQ(problems([] { patchify(at::zeros({2, 3, 8, 9}), kScale, 4, at::kFloat); }), 3u);
  EXPECT_EQ(problems([] { patchify(at::zeros({2, 3, 8, 8}, at::kByte), kScale, 0, at::kFloat); }), 1u);
  EXPECT_EQ(problems([] { patchify(at::zeros({8, 8}, at::kByte), kScale, 4, at::kFloat); }), 2u);
  EXPECT_EQ(problems([] { embed_patches(at::zeros({2, 4, 8}), at::zeros({1, 1, 9}), at::zeros({1, 4, 8})); }), 2u);
  EXPECT_EQ(problems([] { embed_patches(at::zeros({4, 8}), at::zeros({1, 1, 8}, at::kBFloat16), at::zeros({1, 5, 8})); }), 2u);
}

}  // namespace
}  // namespace facellm

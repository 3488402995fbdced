// What generation asks of the model and of memory: the vision tower once a picture whatever the caches hold, and
// bounded logits however many answers are scored.
#include <ATen/ATen.h>
#include <c10/core/Allocator.h>
#include <c10/core/InferenceMode.h>
#include <c10/util/ThreadLocalDebugInfo.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "generation/choose.h"
#include "generation/decode_loop.h"
#include "model/open_model.h"
#include "tiny_model.h"

namespace facellm {
namespace {

struct Loaded {
  OpenedModel opened;
  Session session;

  explicit Loaded(int64_t image_cache_bytes)
      : opened(open_model(tiny_model(kTinyWeights, "fp32"), [](int64_t, int64_t) {}, {})),
        session{*opened.model, tiny_model(kTinyWeights, "fp32").preprocessing,
                ImageFeatureCache(image_cache_bytes), PrefixCache(0), {}, AdapterStacks(*opened.model)} {}
};

ImageInput picture(const std::string& key, int columns, int rows) {
  ImageInput image;
  image.key = key;
  image.width = image.height = 112;
  image.rgb = std::make_shared<const std::vector<uint8_t>>(112 * 112 * 3, static_cast<uint8_t>(key[0]));
  image.columns = columns;
  image.rows = rows;
  image.has_thumbnail = columns * rows > 1;
  return image;
}

int64_t tiles(const ImageInput& image) { return image.columns * image.rows + (image.has_thumbnail ? 1 : 0); }

Prompt ask(std::vector<ImageInput> images) {
  Prompt prompt;
  prompt.ids = {5, 6};
  for (const auto& image : images) prompt.ids.insert(prompt.ids.end(), static_cast<size_t>(4 * tiles(image)), 2072);
  prompt.ids.push_back(7);
  prompt.images = std::move(images);
  return prompt;
}

GenerateRequest request(std::vector<Prompt> prompts) {
  return {std::move(prompts), {}, {true, 1, 0, 1, 0, 1, 0}, 2, {}, false};
}

TEST(Generation, EncodesEachPictureOnceWhateverTheCache) {
  const auto a = picture("a", 1, 1), b = picture("b", 3, 5), c = picture("c", 2, 2);
  // None, room for one tile's vectors (4 x 64 floats), room for all.
  for (const int64_t bytes : {0, 1024, 1 << 24}) {
    Loaded loaded(bytes);
    const c10::InferenceMode inference;
    auto& count = loaded.session.tiles_encoded;
    std::vector<int32_t> ids;
    const auto sink = [&](std::span<const TokenEvent> events) {
      for (const auto& event : events) ids.push_back(event.id);
    };
    generate(loaded.session, request({ask({a, b}), ask({}), ask({c, a, c})}), sink, {});
    EXPECT_EQ(count, 1 + 16 + 5) << bytes;
    // The same as each alone.
    const auto together = ids;
    ids.clear();
    std::vector<std::vector<int32_t>> alone;
    for (const auto& prompt : {ask({a, b}), ask({}), ask({c, a, c})}) {
      generate(loaded.session, request({prompt}), sink, {});
      alone.push_back(std::move(ids));
      ids.clear();
    }
    for (size_t step = 0; step < 2; ++step) {
      for (size_t row = 0; row < 3; ++row) EXPECT_EQ(together[3 * step + row], alone[row][step]);
    }
    count = 0;
    choose(loaded.session, {ask({b}), {}, {{9}, {10, 11}}, false}, {});
    EXPECT_EQ(count, bytes == 1 << 24 ? 0 : 16) << bytes;
  }
}

TEST(Generation, TilesBeyondOneBatchOfTheTowerGiveTheSameVectors) {
  Loaded loaded(0);
  const c10::InferenceMode inference;
  Timings timings{};
  Stopwatch watch(at::kCPU);
  const auto large = picture("l", 5, 7);  // 36 tiles
  const auto whole = encode_images(loaded.session, std::array{large}, timings, watch, {}, {})[0];
  EXPECT_EQ(whole.sizes(), (std::vector<int64_t>{36 * 4, 64}));
  EXPECT_EQ(loaded.session.tiles_encoded, 36);
  const auto single = encode_images(loaded.session, std::array{picture("l", 1, 1)}, timings, watch, {}, {})[0];
  // One colour everywhere: every tile is the thumbnail.
  EXPECT_TRUE(at::allclose(whole.view({36, 4, 64}), single.expand({36, 4, 64}), 1e-5, 1e-5));
}

// Hears of every allocation of this thread.
struct LargestAllocation : c10::MemoryReportingInfoBase {
  int64_t bytes = 0;
  void reportMemoryUsage(void*, int64_t size, size_t, size_t, c10::Device) override {
    bytes = std::max(bytes, size);
  }
  bool memoryProfilingEnabled() const override { return true; }
};

TEST(Choose, HundredsOfAnswersAtBoundedMemoryAsScoredOneByOne) {
  Loaded loaded(0);
  const c10::InferenceMode inference;
  constexpr int32_t kChoices = 400;
  constexpr int64_t kVocabulary = 2079;
  std::vector<std::vector<int32_t>> choices;
  for (int32_t c = 0; c < kChoices; ++c) choices.push_back({100 + c, 1000 - c});
  choices[7] = {50};
  choices[8] = {60, 61, 62, 63};
  const auto largest = std::make_shared<LargestAllocation>();
  ChooseResult all;
  {
    const c10::DebugInfoGuard guard(c10::DebugInfoKind::PROFILER_STATE, largest);
    all = choose(loaded.session, {ask({picture("a", 1, 1)}), {}, choices, false}, {});
  }
  // Logits of all rows would be 401 x 2079 floats; of a chunk a sixth. The tree's mask and attention stay below.
  EXPECT_GT(largest->bytes, 64 * kVocabulary * 4 - 1) << "allocations were not observed";
  EXPECT_LT(largest->bytes, 401 * kVocabulary * 4 / 2);
  ASSERT_EQ(all.log_probs.size(), choices.size());
  for (const size_t c : {size_t{0}, size_t{7}, size_t{8}, size_t{63}, size_t{64}, size_t{65}, size_t{399}}) {
    const auto one = choose(loaded.session, {ask({picture("a", 1, 1)}), {}, {choices[c]}, false}, {});
    ASSERT_EQ(all.token_log_probs[c].size(), choices[c].size());
    for (size_t t = 0; t < choices[c].size(); ++t) {
      EXPECT_NEAR(all.token_log_probs[c][t], one.token_log_probs[0][t], 1e-4) << c << " at " << t;
    }
  }
}

}  // namespace
}  // namespace facellm

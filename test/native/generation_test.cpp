// What generation asks of the model and of memory: the vision tower once a picture whatever the caches hold, and
// bounded logits however many answers are scored.
#include <ATen/ATen.h>
#include <c10/core/Allocator.h>
#include <c10/util/ThreadLocalDebugInfo.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "engine_driver.h"
#include "generation/step_engine.h"
#include "generation/step_engine_limits.h"
#include "model/open_model.h"
#include "tiny_model.h"

namespace facellm {
namespace {

struct Loaded {
  OpenedModel opened;
  StepEngine engine;
  Driver<StepEngine> driver{engine};

  explicit Loaded(LoadRequest request)
      : opened(open_model(request, [](int64_t, int64_t) {}, {})), engine(*opened.model, request, [] {}) {}
  explicit Loaded(int64_t image_cache_bytes) : Loaded(with_cache(image_cache_bytes)) {}

  int64_t tiles() const { return engine.stats().tiles_encoded; }

 private:
  static LoadRequest with_cache(int64_t bytes) {
    auto request = tiny_model(kTinyWeights, "fp32");
    request.image_cache_bytes = bytes;
    request.prefix_cache_bytes = 1 << 24;
    return request;
  }
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

GenerateRequest request(Prompt prompt, int64_t tokens = 2) {
  return {std::move(prompt), {}, {.is_greedy = true}, 1, 0, tokens, {}, false};
}

TEST(Generation, EncodesEachPictureOnceWhateverTheCache) {
  const auto a = picture("a", 1, 1), b = picture("b", 3, 5), c = picture("c", 2, 2);
  const std::vector<Prompt> prompts{ask({a, b}), ask({}), ask({c, a, c})};
  // None, room for one tile's vectors (4 x 64 floats), room for all.
  for (const int64_t bytes : {0, 1024, 1 << 24}) {
    Loaded loaded(bytes);
    auto& driver = loaded.driver;
    std::vector<RequestId> together;
    for (const auto& prompt : prompts) together.push_back(driver.submit(request(prompt))->id);
    driver.run();
    EXPECT_EQ(loaded.tiles(), 1 + 16 + 5) << bytes;
    for (size_t i = 0; i < prompts.size(); ++i) {
      EXPECT_EQ((driver.client->tokens[{together[i], 0}]), driver.ids(request(prompts[i]))) << "in company";
    }
    const auto before = loaded.tiles();
    driver.answer(ChooseRequest{ask({b}), {}, {{9}, {10, 11}}, false});
    EXPECT_EQ(loaded.tiles() - before, bytes == 1 << 24 ? 0 : 16) << bytes;
  }
}

TEST(Generation, FewTilesOvertakeManyAndNobodyIsOvertakenForLongerThanHisOwnTake) {
  Loaded loaded(0);
  auto& driver = loaded.driver;
  const auto many = picture("m", 7, 7);
  const auto own = tiles(many);
  const auto asked = driver.submit(request(ask({many})));
  while (loaded.tiles() == 0) ASSERT_TRUE(loaded.engine.step());
  const int64_t before = loaded.tiles();
  const auto few = driver.submit(request(ask({picture("a", 1, 1)})));
  while (!few->is_over()) ASSERT_TRUE(loaded.engine.step());
  EXPECT_FALSE(asked->is_over());
  EXPECT_LE(loaded.tiles(), before + 1 + kTilesOnCpu);

  // A new face all the time.
  int faces = 0;
  while (!asked->is_over()) {
    driver.submit(request(ask({picture(std::string(1, static_cast<char>('n' + faces % 8)) + std::to_string(faces), 1, 1)})));
    ++faces;
    ASSERT_TRUE(loaded.engine.step());
    ASSERT_LE(loaded.tiles(), 2 * own + 2);
  }
  EXPECT_GT(faces, own / 2);
  driver.run();
}

TEST(Generation, APictureWhosePrefixIsKnownIsNotEncodedAgain) {
  Loaded loaded(0);
  auto& driver = loaded.driver;
  auto first = request(ask({picture("b", 3, 5)})), second = first;
  first.uses_prefix_cache = second.uses_prefix_cache = true;
  second.prompt.ids.back() = 8;
  driver.answer(first);
  EXPECT_EQ(loaded.tiles(), 16);
  const auto result = driver.answer(second);
  EXPECT_EQ(loaded.tiles(), 16);
  EXPECT_EQ(result.rows[0].cached_tokens, 2 + 64);
}

ImageInput without_pixels(ImageInput image) {
  image.rgb = nullptr;
  return image;
}

TEST(Generation, PixelsAreAskedForWhereNothingCoversThePicture) {
  const auto named = without_pixels(picture("b", 3, 5));
  auto question = request(ask({named}));
  question.uses_prefix_cache = true;
  Loaded plain(0), loaded(1 << 24);
  const auto wanted = plain.driver.ids(request(ask({picture("b", 3, 5)})));
  auto& client = *loaded.driver.client;
  // Of two who lack them one is asked; when it leaves, the other.
  const auto first = loaded.driver.submit(question), second = loaded.driver.submit(question);
  loaded.driver.run();
  ASSERT_EQ(client.wanted, (std::vector<std::pair<RequestId, size_t>>{{first->id, 0}}));
  first->cancellation->request();
  loaded.driver.run();
  ASSERT_EQ(client.wanted.size(), 2u);
  EXPECT_EQ(client.wanted[1], (std::pair<RequestId, size_t>{second->id, 0}));
  EXPECT_FALSE(second->is_over());
  // One that comes meanwhile and needs none is not held up; one that brings them serves all.
  EXPECT_TRUE(loaded.driver.submit(request(ask({}))) && (loaded.driver.run(), true));
  const auto third = loaded.driver.submit(request(ask({picture("b", 3, 5)})));
  loaded.driver.run();
  EXPECT_EQ(client.tokens[std::pair(second->id, 0)], wanted);
  EXPECT_EQ(client.tokens[std::pair(third->id, 0)], wanted);
  EXPECT_EQ(loaded.tiles(), 16);
  // Known: nobody is asked, whichever cache covers it.
  EXPECT_EQ(loaded.driver.ids(request(ask({named}))), wanted);
  EXPECT_EQ(loaded.driver.ids(question), wanted);
  EXPECT_EQ(client.wanted.size(), 2u);
  EXPECT_EQ(loaded.engine.stats().received_images, 1);
}

TEST(Generation, GivenPixelsAreCheckedAndThoseOfNobodyAreDropped) {
  Loaded loaded(0);
  const auto whole = picture("a", 1, 1);
  const auto wanted = loaded.driver.answer(EmbedRequest{{whole}, {}});
  const auto good = loaded.driver.submit(EmbedRequest{{without_pixels(whole)}, {}});
  loaded.driver.run();
  EXPECT_FALSE(good->is_over());
  loaded.engine.give_pixels(good->id, 0, whole.rgb);
  loaded.driver.run();
  ASSERT_TRUE(good->result);
  EXPECT_EQ((*good->result)[0].data, wanted[0].data);
  loaded.engine.give_pixels(good->id, 0, whole.rgb);
  const auto bad = loaded.driver.submit(EmbedRequest{{without_pixels(picture("c", 1, 1))}, {}});
  loaded.driver.run();
  loaded.engine.give_pixels(bad->id, 0, std::make_shared<const std::vector<uint8_t>>(std::vector<uint8_t>{1, 2, 3}));
  ASSERT_TRUE(bad->error);
  EXPECT_EQ(bad->error->code(), ErrorCode::kInvalidArgument);
}

TEST(Generation, TilesBeyondOneBatchOfTheTowerGiveTheSameVectors) {
  Loaded loaded(0);
  const auto large = picture("l", 5, 7);  // 36 tiles
  const auto whole = loaded.driver.answer(EmbedRequest{{large}, {}})[0];
  EXPECT_EQ(whole.shape, (std::vector<int64_t>{36 * 4, 64}));
  EXPECT_EQ(loaded.tiles(), 36);
  const auto single = loaded.driver.answer(EmbedRequest{{picture("l", 1, 1)}, {}})[0];
  // One colour everywhere: every tile is the thumbnail.
  for (size_t i = 0; i < whole.data.size(); ++i) {
    ASSERT_NEAR(whole.data[i], single.data[i % single.data.size()], 1e-5 + 1e-5 * std::abs(whole.data[i]));
  }
}

// The tiny tower has two layers: fewer than shares, so each is one.
TEST(Generation, AnAnswerGoesOnBetweenTheLayersOfAPictureBesideIt) {
  Loaded loaded(0);
  auto& tokens = loaded.driver.client->tokens;
  const auto one = picture("a", 1, 1), other = picture("z", 1, 1);
  const auto wanted = loaded.driver.answer(EmbedRequest{{one}, {}})[0].data;
  const auto answer = loaded.driver.submit(request(ask({}), 64));
  loaded.engine.step();
  ASSERT_EQ(tokens[std::pair(answer->id, 0)].size(), 1u);
  const auto embedded = loaded.driver.submit(EmbedRequest{{one}, {}});
  while (!embedded->is_over()) loaded.engine.step();
  EXPECT_EQ(tokens[std::pair(answer->id, 0)].size(), 1u + 2u);
  EXPECT_EQ(embedded->result->at(0).data, wanted);
  // Who leaves half way takes along what was begun for it alone.
  const auto leaver = loaded.driver.submit(EmbedRequest{{other}, {}});
  loaded.engine.step();
  leaver->cancellation->request();
  const auto next = loaded.driver.submit(EmbedRequest{{one}, {}});
  loaded.engine.step();
  // Who comes half way finds it begun; when nobody answers any more, the rest is one step's.
  const auto same = loaded.driver.submit(EmbedRequest{{one}, {}});
  answer->cancellation->request();
  loaded.engine.step();
  ASSERT_TRUE(next->result && same->result);
  EXPECT_EQ(next->result->at(0).data, wanted);
  EXPECT_EQ(same->result->at(0).data, wanted);
  EXPECT_EQ(loaded.tiles(), 3);
}

TEST(Generation, PicturesAndPromptsTakeTurnsBesideAnAnswer) {
  Loaded loaded(0);
  const auto answer = loaded.driver.submit(request(ask({}), 64));
  loaded.engine.step();
  Prompt prompt;
  for (int i = 0; i < 600; ++i) prompt.ids.push_back(10 + i);
  const auto wanted = Loaded(0).driver.ids(request(prompt));
  const auto embedded = loaded.driver.submit(EmbedRequest{{picture("a", 1, 1)}, {}});
  const auto asked = loaded.driver.submit(request(prompt));
  std::vector<bool> has_prompt;
  while (!embedded->is_over()) {
    const int64_t before = loaded.engine.stats().tokens_computed;
    loaded.engine.step();
    has_prompt.push_back(loaded.engine.stats().tokens_computed - before > 1);
  }
  EXPECT_EQ(has_prompt, (std::vector<bool>{false, true, false}));
  loaded.driver.run();
  EXPECT_EQ((loaded.driver.client->tokens[std::pair(asked->id, 0)]), wanted);
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
    all = loaded.driver.answer(ChooseRequest{ask({picture("a", 1, 1)}), {}, choices, false});
  }
  // Logits of all rows would be 401 x 2079 floats; of a chunk a sixth. The tree's mask and attention stay below.
  EXPECT_GT(largest->bytes, 64 * kVocabulary * 4 - 1) << "allocations were not observed";
  EXPECT_LT(largest->bytes, 401 * kVocabulary * 4 / 2);
  ASSERT_EQ(all.log_probs.size(), choices.size());
  for (const size_t c : {size_t{0}, size_t{7}, size_t{8}, size_t{63}, size_t{64}, size_t{65}, size_t{399}}) {
    const auto one = loaded.driver.answer(ChooseRequest{ask({picture("a", 1, 1)}), {}, {choices[c]}, false});
    ASSERT_EQ(all.token_log_probs[c].size(), choices[c].size());
    for (size_t t = 0; t < choices[c].size(); ++t) {
      EXPECT_NEAR(all.token_log_probs[c][t], one.token_log_probs[0][t], 1e-4) << c << " at " << t;
    }
  }
}

}  // namespace
}  // namespace facellm

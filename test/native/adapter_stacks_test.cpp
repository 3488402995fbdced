// native/lora: stacks of adapters of a loaded model, several in one pass, on the tiny model.
#include "lora/adapter_stacks.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <numeric>
#include <set>

#include "core/error.h"
#include "model/open_model.h"
#include "random_adapter.h"
#include "tiny_model.h"

namespace facellm {
namespace {

class AdapterStacksTest : public ::testing::Test {
 protected:
  void SetUp() override { at::manual_seed(4); }

  AdapterSource source(const std::vector<std::string>& parts, int64_t rank, bool uses_dora = false) {
    return random_adapter(model_, folder_.file(std::to_string(number_++) + ".safetensors"), parts, rank, uses_dora);
  }

  int64_t load(const std::vector<std::string>& parts, int64_t rank, bool uses_dora = false) {
    return stacks_.load(source(parts, rank, uses_dora)).id;
  }

  // Hidden states of sequences one behind another in one pass, [T, D].
  at::Tensor pass(const std::vector<int64_t>& lengths) const {
    const int64_t rows = std::accumulate(lengths.begin(), lengths.end(), int64_t{0});
    const auto ids = at::arange(rows, at::kLong).mul_(37).remainder_(2000);
    std::vector<TreeNode> nodes;
    for (const int64_t length : lengths) nodes.push_back({length});
    const auto positions = at::tensor(positions_of(nodes), at::kLong);
    return model_.language_model().forward(PackedSequences{model_.language_model().embed(ids), positions, nodes},
                                           [](int64_t, const LayerFunction& layer, const at::Tensor& x) { return layer(x); });
  }

  // Sequence i under stacks[i], sequences in order.
  at::Tensor mixed(const std::vector<int64_t>& lengths, const std::vector<uint64_t>& stacks) {
    std::vector<RowGroup> groups;
    int64_t begin = 0;
    for (size_t i = 0; i < lengths.size(); ++i) {
      if (stacks[i] != 0) groups.push_back({stacks[i], begin, lengths[i]});
      begin += lengths[i];
    }
    stacks_.set_rows(begin, groups);
    return pass(lengths);
  }

  bool is_plain() {
    for (const auto& site : model_.linears()) {
      if (site.linear->extension != nullptr) return false;
    }
    return true;
  }

  ErrorCode code(const std::function<void()>& call) {
    try {
      call();
    } catch (const Error& error) {
      return error.code();
    }
    return ErrorCode::kDisposed;  // none
  }

  TemporaryFolder folder_;
  int number_ = 0;
  OpenedModel opened_ = open_model(tiny_model(kTinyWeights, "fp32"), [](int64_t, int64_t) {}, {});
  InternVl& model_ = *opened_.model;
  AdapterStacks stacks_{model_};
  const c10::InferenceMode inference_;  // from here on: loading's threads have none
};

const std::vector<std::string> kText{"language_model."}, kQueries{"self_attn.q_proj", "mlp.down_proj"},
    kVision{"vision_tower.", "multi_modal_projector."};

// Two layers of sums of at most 128 fp32 terms on states of magnitude 10, whose products' order may follow from the number
// of rows; stacks differ by thousands of times as much, which the test asks for.
constexpr double kRounding = 1e-4;

double difference(const at::Tensor& a, const at::Tensor& b) { return (a - b).abs().max().item<double>(); }

TEST_F(AdapterStacksTest, SequencesOfManyStacksShareAPass) {
  const auto a = load(kText, 4), b = load(kQueries, 2), dora = load({"self_attn.v_proj", "gate_proj"}, 3, true),
             vision = load(kVision, 2);
  const std::vector<AdapterIds> lists{{a}, {}, {b}, {a, b}, {b, a}, {dora}, {dora, b}, {vision}, {a, vision}, {a}};
  const std::vector<int64_t> lengths{5, 4, 1, 7, 6, 1, 8, 5, 9, 4};
  const auto plain = pass(lengths);
  std::vector<uint64_t> serials;
  for (const auto& ids : lists) serials.push_back(stacks_.serial_of(ids));
  EXPECT_EQ(serials[0], serials[9]);
  EXPECT_EQ(std::set<uint64_t>(serials.begin(), serials.end()).size(), 9u);
  const auto together = mixed(lengths, serials);
  int64_t begin = 0;
  for (size_t i = 0; i < lists.size(); ++i) {
    stacks_.set_all_rows(serials[i]);
    const auto own = [&, begin](const at::Tensor& states) { return states.narrow(0, begin, lengths[i]); };
    EXPECT_LT(difference(own(together), own(pass(lengths))), kRounding) << i;
    const bool changes_text = !lists[i].empty() && lists[i] != AdapterIds{vision};
    if (changes_text) {
      EXPECT_GT(difference(own(together), own(plain)), 100 * kRounding) << i;
    } else {
      EXPECT_TRUE(at::equal(own(together), own(plain))) << i;
    }
    begin += lengths[i];
  }
  // Rows of no group alone.
  EXPECT_TRUE(at::equal(mixed(lengths, std::vector<uint64_t>(lengths.size(), 0)), plain));
}

TEST_F(AdapterStacksTest, OrderDoesNotMatterToTheSumAndMattersToTheSerial) {
  const auto a = load(kText, 4), b = load(kQueries, 2);
  const auto ab = stacks_.serial_of({a, b}), ba = stacks_.serial_of({b, a});
  EXPECT_NE(ab, ba);
  EXPECT_EQ(stacks_.ids_of(ba), (AdapterIds{b, a}));
  const auto states = mixed({6, 6}, {ab, ab}), other = mixed({6, 6}, {ba, ba});
  EXPECT_LT(difference(states, other), kRounding);
}

TEST_F(AdapterStacksTest, TheTowerRunsUnderOneStackAndKnowsWhichAdaptersAreItsOwn) {
  const auto text = load(kText, 4), vision = load(kVision, 2);
  const auto both = stacks_.serial_of({text, vision}), only = stacks_.serial_of({vision}), none = stacks_.serial_of({text});
  EXPECT_EQ(stacks_.image_ids_of(both), AdapterIds{vision});
  EXPECT_EQ(stacks_.image_ids_of(none), AdapterIds{});
  EXPECT_EQ(stacks_.image_ids_of(0), AdapterIds{});
  const auto tiles = at::randint(256, {3, 3, 56, 56}, at::kByte);
  const ChannelScale scale{{127.5f, 127.5f, 127.5f}, {127.5f, 127.5f, 127.5f}};
  const auto encode = [&](uint64_t stack) {
    stacks_.set_all_rows(stack);
    return model_.encode_tiles(tiles, scale, {}, {});
  };
  const auto base = encode(0);
  EXPECT_TRUE(at::equal(encode(none), base));
  EXPECT_GT(difference(encode(only), base), 100 * kRounding);
  EXPECT_TRUE(at::equal(encode(only), encode(both)));
}

TEST_F(AdapterStacksTest, EightAreKeptAndTheOthersComeBackAsTheyWere) {
  std::vector<uint64_t> serials;
  std::vector<int64_t> adapters;
  for (int64_t i = 0; i < 10; ++i) {
    adapters.push_back(load(kText, 2 + i));
    serials.push_back(stacks_.serial_of({adapters.back()}));
  }
  const std::vector<int64_t> lengths{6};
  const auto plain = pass(lengths);
  const int64_t unbuilt = stacks_.bytes();
  std::vector<at::Tensor> states;
  int64_t unit = 0;  // what a stack has kept a rank
  const auto expect_kept = [&](std::initializer_list<int64_t> ranks) {
    EXPECT_EQ(stacks_.bytes() - unbuilt, unit * std::accumulate(ranks.begin(), ranks.end(), int64_t{0}));
  };
  for (size_t i = 0; i < serials.size(); ++i) {
    if (i == AdapterStacks::kMostBuilt) mixed(lengths, {serials[0]});  // not the one that waits for longest now
    states.push_back(mixed(lengths, {serials[i]}));
    EXPECT_GT(difference(states[i], i == 0 ? plain : states[i - 1]), 100 * kRounding) << i;
    if (i == 0) unit = (stacks_.bytes() - unbuilt) / 2;
    if (i == 7) expect_kept({2, 3, 4, 5, 6, 7, 8, 9});
    if (i == 8) expect_kept({2, 4, 5, 6, 7, 8, 9, 10});
    if (i == 9) expect_kept({2, 5, 6, 7, 8, 9, 10, 11});
  }
  EXPECT_GT(unit, 0);
  for (size_t i = 0; i < serials.size(); ++i) {
    EXPECT_EQ(stacks_.serial_of({adapters[i]}), serials[i]);
    EXPECT_TRUE(at::equal(mixed(lengths, {serials[i]}), states[i])) << i;
  }
  const std::vector<int64_t> nine(9, 1);
  EXPECT_EQ(code([&] { mixed(nine, {serials.begin(), serials.begin() + 9}); }), ErrorCode::kInternal);
  const std::vector<int64_t> eight(8, 1);
  EXPECT_EQ(mixed(eight, {serials.begin() + 2, serials.end()}).size(0), 8);
}

TEST_F(AdapterStacksTest, UnloadingTakesItsStacksAlong) {
  const auto a_source = source(kText, 4);
  const auto a = stacks_.load(a_source).id, b = load(kQueries, 2);
  const std::vector<int64_t> lengths{5, 5};
  const auto plain = pass(lengths);
  const auto only_a = stacks_.serial_of({a}), only_b = stacks_.serial_of({b}), both = stacks_.serial_of({a, b});
  const auto before = mixed(lengths, {only_a, only_b});
  const int64_t bytes = stacks_.bytes();
  stacks_.unload(a);
  EXPECT_LT(stacks_.bytes(), bytes);
  // Rows that were set are nobody's now.
  EXPECT_TRUE(at::equal(pass(lengths), plain));
  for (const auto serial : {only_a, both}) {
    EXPECT_EQ(code([&] { mixed(lengths, {serial, only_b}); }), ErrorCode::kInvalidArgument);
    EXPECT_EQ(code([&] { stacks_.set_all_rows(serial); }), ErrorCode::kInvalidArgument);
    EXPECT_EQ(code([&] { stacks_.ids_of(serial); }), ErrorCode::kInvalidArgument);
  }
  EXPECT_EQ(code([&] { stacks_.serial_of({a, b}); }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(stacks_.serial_of({b}), only_b);
  EXPECT_TRUE(at::equal(mixed(lengths, {0, only_b}).narrow(0, 5, 5), before.narrow(0, 5, 5)));
  // Loaded again it is another adapter, and its stack another stack.
  const auto again = stacks_.load(a_source).id;
  EXPECT_NE(again, a);
  const auto fresh = stacks_.serial_of({again});
  EXPECT_EQ(std::set<uint64_t>({only_a, only_b, both, fresh}).size(), 4u);
  EXPECT_TRUE(at::equal(mixed(lengths, {fresh, only_b}), before));
  stacks_.unload(again);
  stacks_.unload(b);
  stacks_.unload(b);
  EXPECT_TRUE(is_plain());
  EXPECT_EQ(stacks_.bytes(), 0);
}

TEST_F(AdapterStacksTest, DoraMeetsNoOtherAdapterAndNothingHasChangedThen) {
  const auto a = load(kQueries, 2), dora = load({"self_attn.q_proj"}, 3, true);
  const auto serial = stacks_.serial_of({a});
  const auto before = mixed({6}, {serial});
  EXPECT_EQ(code([&] { stacks_.serial_of({a, dora}); }), ErrorCode::kAdapterInvalid);
  EXPECT_EQ(code([&] { stacks_.serial_of({dora, 77}); }), ErrorCode::kInvalidArgument);
  EXPECT_TRUE(at::equal(pass({6}), before));
}

}  // namespace
}  // namespace facellm

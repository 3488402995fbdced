// The planner and the blocks under it, in company of a cache that is nothing but numbers: every slot says
// which token it holds, so that a row which reads another's, or writes into a block that others read, is seen.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <random>

#include "scheduling/plan_step.h"
#include "scheduling/row_blocks.h"

namespace facellm {
namespace {

using Tokens = std::vector<TokenIdentity>;

Tokens range(TokenIdentity first, int64_t count) {
  Tokens tokens;
  for (int64_t i = 0; i < count; ++i) tokens.push_back(first + i);
  return tokens;
}

TEST(BlockCache, SharesTheLongestPrefixAndCopiesThePartOfABlock) {
  BlockCache cache(16, 4, 16);
  std::optional<BlockCopy> copy;
  RowBlocks first(cache, 1), second(cache, 1), foreign(cache, 2);
  const auto tokens = range(0, 11);
  EXPECT_EQ(first.restore(tokens, copy), 0);
  ASSERT_TRUE(first.grow(11, 20));
  first.publish(tokens, 10);
  auto other = range(0, 12);
  other[9] = 99;
  EXPECT_EQ(second.restore(other, copy), 9);
  ASSERT_TRUE(copy);
  EXPECT_EQ(copy->from, first.blocks()[2]);
  EXPECT_EQ(copy->tokens, 1);
  EXPECT_EQ(second.blocks()[1], first.blocks()[1]);
  EXPECT_NE(second.blocks()[2], first.blocks()[2]);
  copy.reset();
  EXPECT_EQ(foreign.restore(tokens, copy), 0);
  EXPECT_FALSE(copy);
}

TEST(BlockCache, ComputesAtLeastTheLastToken) {
  BlockCache cache(16, 4, 16);
  std::optional<BlockCopy> copy;
  const auto tokens = range(0, 8);
  RowBlocks first(cache, 1), again(cache, 1);
  first.grow(8, 8);
  first.publish(tokens, 8);
  EXPECT_EQ(again.restore(tokens, copy), 7);
  EXPECT_EQ(copy->tokens, 3);
}

TEST(BlockCache, TheLeastRecentlyUsedGoesFirstAndFromTheEnd) {
  BlockCache cache(4, 2, 4);
  std::optional<BlockCopy> copy;
  const auto old = range(0, 4), recent = range(100, 4);
  for (const auto* tokens : {&old, &recent}) {
    RowBlocks row(cache, 1);
    row.grow(4, 4);
    row.publish(*tokens, 4);
  }
  EXPECT_EQ(cache.available(), 4);
  EXPECT_EQ(cache.idle(), 4);
  RowBlocks row(cache, 2);
  ASSERT_TRUE(row.grow(2, 2));
  EXPECT_EQ(cache.match(1, old).tokens, 2);
  EXPECT_EQ(cache.match(1, recent).tokens, 4);
  ASSERT_TRUE(row.grow(6, 6));
  EXPECT_EQ(cache.match(1, old).tokens, 0);
  EXPECT_EQ(cache.match(1, recent).tokens, 2);
  ASSERT_TRUE(row.grow(8, 8));
  EXPECT_FALSE(row.grow(9, 9));
}

TEST(BlockCache, KeepsNoMoreIdleBlocksThanAllowed) {
  BlockCache cache(8, 2, 1);
  RowBlocks row(cache, 1);
  row.grow(6, 6);
  row.publish(range(0, 6), 6);
  EXPECT_EQ(cache.idle(), 0);
  row.release();
  EXPECT_EQ(cache.idle(), 1);
  EXPECT_EQ(cache.match(1, range(0, 6)).tokens, 2);
}

TEST(BlockCache, RowsGrowInPlace) {
  BlockCache cache(64, 4, 64);
  RowBlocks a(cache, 1), b(cache, 1);
  a.grow(4, 40);
  b.grow(4, 40);
  for (int64_t tokens = 5; tokens <= 40; ++tokens) {
    a.grow(tokens, 40);
    b.grow(tokens, 40);
  }
  for (const auto* row : {&a, &b}) {
    for (size_t i = 1; i < row->blocks().size(); ++i) EXPECT_EQ(row->blocks()[i], row->blocks()[i - 1] + 1);
  }
}

// A row of the simulation: what the engine keeps of one.
struct Row {
  int64_t name;
  Tokens tokens;
  int64_t prompt, most, computed = 0;
  uint64_t root;
  std::unique_ptr<RowBlocks> blocks;
  bool is_admitted = false;
  int64_t preemptions = 0, waited = 0;
};

class Simulation {
 public:
  Simulation(uint64_t seed, int64_t blocks, int64_t block_size, int64_t most_idle)
      : random_(seed), cache_(blocks, block_size, most_idle), slots_(static_cast<size_t>(blocks * block_size), -1) {
    limits_.block_size = block_size;
    limits_.total_blocks = blocks;
    limits_.tokens_beside_answers = 24;
    limits_.tokens_alone = 48;
    limits_.most_rows = 6;
  }

  void add() {
    // Prompts share beginnings, as questions about one picture do.
    const int64_t picture = below(3), common = below(20), own = 1 + below(20);
    Row row{next_name_++, range(1000 * picture, common), common + own, 0, 0, static_cast<uint64_t>(below(2)), nullptr};
    for (int64_t i = 0; i < own; ++i) row.tokens.push_back(below(4));
    const int64_t room = cache_.total() * cache_.block_size();
    row.most = std::min(row.prompt + 1 + below(30), room);
    if (row.prompt >= room) return;
    row.blocks = std::make_unique<RowBlocks>(cache_, row.root);
    rows_.push_back(std::move(row));
  }

  void cancel() {
    if (!rows_.empty()) rows_.erase(rows_.begin() + below(static_cast<int64_t>(rows_.size())));
  }

  void step() {
    std::stable_sort(rows_.begin(), rows_.end(), [](const Row& a, const Row& b) { return a.is_admitted > b.is_admitted; });
    const auto planner_rows = view();
    limits_.available_blocks = cache_.available();
    const auto plan = plan_step(planner_rows, limits_);
    check(plan, planner_rows);
    for (const size_t i : plan.preempted) {
      rows_[i].blocks->release();
      rows_[i].is_admitted = false;
      rows_[i].computed = 0;
      ++rows_[i].preemptions;
    }
    for (const size_t i : plan.admitted) admit(rows_[i]);
    for (const auto& share : plan.shares) compute(rows_[share.row], share.tokens);
    ASSERT_FALSE(plan.shares.empty() && !rows_.empty()) << "nobody goes on";
    std::erase_if(rows_, [&](const Row& row) {
      const bool is_done = static_cast<int64_t>(row.tokens.size()) >= row.most;
      finished_ += is_done;
      return is_done;
    });
  }

  size_t rows() const { return rows_.size(); }
  int64_t finished() const { return finished_; }
  const BlockCache& cache() const { return cache_; }
  int64_t below(int64_t n) { return static_cast<int64_t>(random_() % static_cast<uint64_t>(n)); }

 private:
  std::vector<PlannerRow> view() {
    std::vector<PlannerRow> result;
    for (auto& row : rows_) {
      PlannerRow planner;
      const auto size = static_cast<int64_t>(row.tokens.size());
      planner.most_tokens = row.most;
      if (row.is_admitted) {
        planner.phase = row.computed >= row.prompt ? RowPhase::kAnswer : RowPhase::kPrompt;
        planner.length = row.computed;
        planner.blocks = static_cast<int64_t>(row.blocks->blocks().size());
        planner.releasable = row.blocks->exclusive();
      } else {
        const auto match = cache_.match(row.root, std::span(row.tokens).first(row.tokens.size() - 1));
        planner.length = match.tokens;
        planner.blocks = static_cast<int64_t>(match.full.size());
        for (const BlockId block : match.full) planner.pinned += cache_.readers(block) == 0;
        planner.reserves_everything = row.preemptions >= 2;
      }
      planner.missing = size - planner.length;
      planner.ready = planner.missing;
      result.push_back(planner);
    }
    return result;
  }

  void check(const StepPlan& plan, const std::vector<PlannerRow>& rows) {
    int64_t tokens = 0, answers = 0;
    std::vector<int> seen(rows.size());
    for (const auto& share : plan.shares) {
      EXPECT_GT(share.tokens, 0);
      EXPECT_LE(share.tokens, rows[share.row].missing);
      EXPECT_EQ(seen[share.row]++, 0) << "a row twice in a step";
      EXPECT_EQ(std::ranges::count(plan.preempted, share.row), 0);
      tokens += share.tokens;
      answers += rows[share.row].phase == RowPhase::kAnswer;
    }
    EXPECT_LE(tokens, answers > 0 ? limits_.tokens_beside_answers : limits_.tokens_alone);
    int64_t running = 0, skipped = 0;
    for (size_t i = 0; i < rows.size(); ++i) {
      running += rows[i].phase != RowPhase::kWaiting;
      skipped += rows[i].phase == RowPhase::kAnswer && seen[i] == 0 && std::ranges::count(plan.preempted, i) == 0;
    }
    EXPECT_LE(running - static_cast<int64_t>(plan.preempted.size()) + static_cast<int64_t>(plan.admitted.size()),
              limits_.most_rows);
    EXPECT_EQ(skipped, 0) << "an answer was held up";
  }

  void admit(Row& row) {
    std::optional<BlockCopy> copy;
    row.computed = row.blocks->restore(row.tokens, copy);
    if (copy) {
      for (int64_t i = 0; i < copy->tokens; ++i) slot(copy->to, i) = slot(copy->from, i);
    }
    ASSERT_TRUE(row.blocks->grow(static_cast<int64_t>(row.tokens.size()) + 1, row.most)) << "admitted without room";
    row.is_admitted = true;
  }

  void compute(Row& row, int64_t tokens) {
    ASSERT_TRUE(row.blocks->grow(row.computed + tokens, row.most)) << "planned without room";
    const int64_t size = cache_.block_size();
    const auto& blocks = row.blocks->blocks();
    for (int64_t t = row.computed; t < row.computed + tokens; ++t) {
      const BlockId block = blocks[static_cast<size_t>(t / size)];
      EXPECT_EQ(cache_.readers(block), 1) << "a block that others read is written";
      slot(block, t % size) = row.tokens[static_cast<size_t>(t)];
    }
    row.computed += tokens;
    for (int64_t t = 0; t < row.computed; ++t) {
      ASSERT_EQ(slot(blocks[static_cast<size_t>(t / size)], t % size), row.tokens[static_cast<size_t>(t)])
          << "row " << row.name << " reads a slot that is not its own at " << t;
    }
    row.blocks->publish(row.tokens, row.computed);
    if (row.computed == static_cast<int64_t>(row.tokens.size())) row.tokens.push_back(below(4));
  }

  TokenIdentity& slot(BlockId block, int64_t place) {
    return slots_[static_cast<size_t>(block * cache_.block_size() + place)];
  }

  std::mt19937_64 random_;
  BlockCache cache_;
  Tokens slots_;
  PlanLimits limits_;
  std::vector<Row> rows_;
  int64_t next_name_ = 0, finished_ = 0;
};

class Schedules : public testing::TestWithParam<uint64_t> {};

TEST_P(Schedules, NoTokenIsLostNobodyReadsAnothersAndEverybodyEnds) {
  std::mt19937_64 shape(GetParam());
  const int64_t size = 1 + static_cast<int64_t>(shape() % 8);
  const int64_t blocks = (72 + static_cast<int64_t>(shape() % 200)) / size + 1;
  Simulation simulation(GetParam(), blocks, size, static_cast<int64_t>(shape() % static_cast<uint64_t>(blocks)));
  for (int turn = 0; turn < 300; ++turn) {
    if (simulation.below(4) == 0) simulation.add();
    if (simulation.below(30) == 0) simulation.cancel();
    simulation.step();
    if (HasFatalFailure()) return;
  }
  for (int turn = 0; simulation.rows() > 0; ++turn) {
    simulation.step();
    if (HasFatalFailure()) return;
    ASSERT_LT(turn, 3000) << simulation.rows() << " rows never end";
  }
  EXPECT_GT(simulation.finished(), 20);
  EXPECT_EQ(simulation.cache().in_use(), 0);
}

INSTANTIATE_TEST_SUITE_P(Random, Schedules, testing::Range<uint64_t>(0, 60));

PlannerRow answering(int64_t length, int64_t blocks) {
  PlannerRow row;
  row.phase = RowPhase::kAnswer;
  row.length = length;
  row.missing = row.ready = 1;
  row.blocks = row.releasable = blocks;
  return row;
}

PlannerRow waiting(int64_t tokens) {
  PlannerRow row;
  row.missing = row.ready = tokens;
  row.most_tokens = tokens + 10;
  return row;
}

TEST(PlanStep, AnswersComeFirstAndPromptsInChunksThatEndOnBlocks) {
  PlanLimits limits{.block_size = 16, .total_blocks = 100, .available_blocks = 90, .tokens_beside_answers = 100};
  const std::vector<PlannerRow> rows{answering(20, 2), waiting(500)};
  const auto plan = plan_step(rows, limits);
  ASSERT_EQ(plan.shares.size(), 2u);
  EXPECT_EQ(plan.shares[0].tokens, 1);
  EXPECT_EQ(plan.shares[1].tokens, 96);
}

TEST(PlanStep, TheRowAdmittedLastMakesRoom) {
  PlanLimits limits{.block_size = 16, .total_blocks = 4, .available_blocks = 0};
  const std::vector<PlannerRow> rows{answering(32, 2), answering(32, 2)};
  const auto plan = plan_step(rows, limits);
  EXPECT_EQ(plan.preempted, std::vector<size_t>{1});
  ASSERT_EQ(plan.shares.size(), 1u);
  EXPECT_EQ(plan.shares[0].row, 0u);
}

TEST(PlanStep, WaitsForAPrefixAPictureASlowReaderAndAStack) {
  PlanLimits limits{.block_size = 16, .total_blocks = 100, .available_blocks = 100, .most_stacks = 1};
  auto prefix = waiting(30), picture = waiting(30), slow = answering(10, 1), stack = waiting(30);
  prefix.waits_for_prefix = true;
  picture.ready = 0;
  slow.is_paused = true;
  stack.stack = 7;
  const std::vector<PlannerRow> rows{slow, prefix, picture, waiting(30), stack};
  const auto plan = plan_step(rows, limits);
  EXPECT_EQ(plan.admitted, (std::vector<size_t>{2, 3}));
  ASSERT_EQ(plan.shares.size(), 1u);
  EXPECT_EQ(plan.shares[0].row, 3u);
}

}  // namespace
}  // namespace facellm

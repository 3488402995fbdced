// model/decode_step gives what LanguageModel gives for the same batch, bit by bit, in the pool too, however many threads compute it; and leaves alone
// what it does not serve.
#include "model/decode_step.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include "kernels/cpu/isa.h"
#include "kernels/cpu/packed_matrix.h"
#include "lora/adapter_stacks.h"
#include "model/open_model.h"
#include "model/random_checkpoint.h"
#include "random_adapter.h"
#include "tiny_model.h"

namespace facellm {
namespace {

constexpr int64_t kBlockSize = 16, kBlocks = 64;

// Large enough that several threads are worth their while.
LoadRequest request_of(const std::string& file, const std::string& dtype, const WeightForms& forms) {
  auto request = tiny_model(file, dtype);
  auto& text = request.config.text;
  text.hidden_size = 256;
  text.intermediate_size = 544;
  text.num_hidden_layers = 3;
  text.num_attention_heads = 6;
  text.head_dim = 32;
  request.weights = forms;
  if (!std::filesystem::exists(file)) write_random_checkpoint({request.config, /*has_lm_head=*/true, /*seed=*/5, file}, {});
  return request;
}

std::unique_ptr<InternVl> open(const LoadRequest& request) {
  return open_model(request, [](int64_t, int64_t) {}, {}, {}, WeightOrder::kPacked).model;
}

// Rows of several lengths, whose blocks lie anywhere, some in line.
StepBatch batch_of(const InternVl& model, int64_t rows) {
  const auto& config = model.config().text;
  StepBatch batch;
  std::vector<int64_t> positions, slots;
  const auto table = at::zeros({rows, 6}, at::kInt);
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t length = 1 + (r * 37 + 20) % (6 * kBlockSize);
    for (int64_t b = 0; b < 6; ++b) table[r][b] = (r * 6 + b * (r % 2 == 0 ? 1 : 5) % 6 + 7) % kBlocks;
    positions.push_back(length - 1);
    slots.push_back(table[r][(length - 1) / kBlockSize].item<int64_t>() * kBlockSize + (length - 1) % kBlockSize);
  }
  batch.embeddings = at::randn({rows, config.hidden_size}).to(model.options());
  batch.positions = at::tensor(positions, at::kLong);
  batch.slots = at::tensor(slots, at::kLong);
  batch.singles = SingleTokens{{}, {table, batch.positions + 1, kBlockSize, 1}};
  return batch;
}

KvPool filled_pool(const LanguageModel& model) {
  at::manual_seed(1);
  auto pool = model.make_pool(kBlocks, kBlockSize);
  for (int64_t i = 0; i < pool.layers(); ++i) {
    pool.keys(i).normal_();
    pool.values(i).normal_();
  }
  return pool;
}

void expect_equal(const KvPool& pool, const KvPool& other) {
  for (int64_t i = 0; i < pool.layers(); ++i) {
    EXPECT_TRUE(at::equal(pool.keys(i), other.keys(i)) && at::equal(pool.values(i), other.values(i))) << "layer " << i;
  }
}

// Rows of x that weights as they are stored take without libtorch: see cpu_kernels.h of AMX.
int64_t most_stored() { return cpu_features().level == CpuLevel::kAmx ? 4 : 8; }

class DecodeStepTest : public testing::Test {
 protected:
  void SetUp() override { at::manual_seed(3); }
  void TearDown() override { at::set_num_threads(threads_); }
  std::string file(const std::string& name) const { return folder_.file(name); }
  LoadRequest request(const std::string& dtype, const WeightForms& forms) const { return request_of(folder_.file("model"), dtype, forms); }

 private:
  TemporaryFolder folder_;
  int threads_ = at::get_num_threads();
};

TEST_F(DecodeStepTest, GivesTheBitsOfTheOperations) {
  struct Case {
    const char* dtype;
    WeightForms forms;
  };
  const Cancellation never;
  for (const auto& [dtype, forms] : {Case{"bf16", {}}, Case{"bf16", {.text = "int8", .head = "int8"}}, Case{"bf16", {.text = "int4", .head = "int8"}},
                                     Case{"bf16", {.text = "int4", .group = 32}}, Case{"fp32", {.text = "int8", .head = "int8"}},
                                     Case{"fp32", {.text = "int4", .head = "int8", .group = 128}}}) {
    if (forms.text == "stored" && !PackedMatrix::suits_all_rows(cpu_kernels())) continue;
    const auto model = open(request(dtype, forms));
    const auto& text = model->language_model();
    for (const int threads : {1, 2, 3}) {
      at::set_num_threads(threads);
      const auto pool = filled_pool(text), other = filled_pool(text);
      DecodeStep step(text, pool);
      const int64_t most = forms.text == "stored" ? most_stored() : row_kernels().name == std::string("scalar") ? 4 : 8;
      for (int64_t rows = 1; rows <= most; ++rows) {
        const auto trace = std::string(dtype) + " " + forms.text + ", " + std::to_string(rows) + " rows, " + std::to_string(threads) + " threads";
        const auto batch = batch_of(*model, rows);
        const bool wants_logits = rows % 3 != 2;
        const auto found = step.forward(batch, wants_logits, never);
        ASSERT_TRUE(found) << trace;
        const auto wanted = text.forward(batch, other, never, {});
        EXPECT_TRUE(at::equal(found->hidden, wanted)) << trace;
        const bool has_head = forms.head != "stored" || (std::string(dtype) == "bf16" && cpu_kernels().most_rows > 0 && rows <= most_stored());
        EXPECT_EQ(found->logits.defined(), wants_logits && has_head) << trace;
        if (found->logits.defined()) EXPECT_TRUE(at::equal(found->logits, text.logits(wanted, {}))) << trace;
        expect_equal(pool, other);
      }
    }
  }
}

// Stacks of several adapters, DoRA among them, on some of the rows, and rows of none between them.
TEST_F(DecodeStepTest, AddsWhatAdaptersAdd) {
  const Cancellation never;
  for (const auto& [dtype, text_form] : {std::pair("bf16", "int8"), std::pair("bf16", "int4"), std::pair("fp32", "int8"), std::pair("bf16", "stored")}) {
    if (std::string(text_form) == "stored" && !PackedMatrix::suits_all_rows(cpu_kernels())) continue;
    const auto model = open(request(dtype, {.text = text_form}));
    const auto& text = model->language_model();
    AdapterStacks stacks(*model);
    const auto load = [&](const char* name, const std::vector<std::string>& parts, int64_t rank, bool uses_dora) {
      return stacks.load(random_adapter(*model, file(name), parts, rank, uses_dora)).id;
    };
    const auto all = load("all", {"language_model."}, 5, false), few = load("few", {"q_proj", "down_proj"}, 18, false),
               dora = load("dora", {"v_proj", "up_proj", "layers.1.self_attn.o_proj"}, 3, true);
    const auto a = stacks.serial_of({all}), b = stacks.serial_of({few, all}), c = stacks.serial_of({dora});
    const std::vector<RowGroup> mixed{{a, 0, 2}, {c, 3, 1}, {b, 4, 3}};
    for (const int threads : {1, 2, 3}) {
      at::set_num_threads(threads);
      const auto pool = filled_pool(text), other = filled_pool(text), third = filled_pool(text);
      DecodeStep step(text, pool);
      for (const int64_t rows : {8, 1}) {
        stacks.set_rows(rows, rows == 8 ? std::span(mixed) : std::span(mixed).subspan(1, 0));
        if (rows == 1) stacks.set_all_rows(c);
        const auto batch = batch_of(*model, rows);
        const auto found = step.forward(batch, false, never);
        const auto trace = std::string(dtype) + " " + text_form + ", " + std::to_string(rows) + " rows, " + std::to_string(threads) + " threads";
        const bool is_stored = std::string(text_form) == "stored";
        if (rows == 8 && (row_kernels().name == std::string("scalar") || (is_stored && most_stored() < 8))) continue;  // more than products take
        ASSERT_TRUE(found) << trace;
        EXPECT_TRUE(at::equal(found->hidden, text.forward(batch, other, never, {}))) << trace;
        expect_equal(pool, other);
        stacks.set_all_rows(0);
        EXPECT_FALSE(at::equal(found->hidden, text.forward(batch, third, never, {}))) << trace << ": without them it is another";
      }
    }
  }
}

TEST_F(DecodeStepTest, MeetsFiveTimesALayer) {
  const Cancellation never;
  const auto model = open(request("bf16", {.text = "int4", .head = "int8"}));
  const auto pool = filled_pool(model->language_model());
  DecodeStep step(model->language_model(), pool);
  ASSERT_TRUE(step.forward(batch_of(*model, 1), true, never));
  const int64_t before = step.barriers();
  ASSERT_TRUE(step.forward(batch_of(*model, 1), true, never));
  EXPECT_EQ(step.barriers() - before, 3 * 5 + 1 + 1) << "products and attention of three layers, the head, the end";
}

TEST_F(DecodeStepTest, LeavesAloneWhatItDoesNotServe) {
  const Cancellation never;
  const auto model = open(request("bf16", {.text = "int8", .head = "int8"}));
  const auto& text = model->language_model();
  const auto pool = filled_pool(text);
  DecodeStep step(text, pool);
  EXPECT_FALSE(step.forward(batch_of(*model, 9), true, never)) << "rows of which the products are all that a step costs";
  auto batch = batch_of(*model, 2);
  batch.segments.push_back({0, 1, 1, 0, {}, {}});
  EXPECT_FALSE(step.forward(batch, true, never));
  batch = batch_of(*model, 2);
  batch.is_invariant = true;
  EXPECT_FALSE(step.forward(batch, true, never));
  batch = batch_of(*model, 2);
  batch.singles.reset();
  EXPECT_FALSE(step.forward(batch, true, never));

  struct Plain : LinearExtension {
    at::Tensor forward(const Linear& base, const at::Tensor& x) const override { return base.product(x); }
  };
  const auto sites = model->linears();
  const auto own = std::ranges::find_if(sites, [](const auto& site) { return site.slices[0].name.ends_with("layers.1.mlp.down_proj"); });
  ASSERT_NE(own, sites.end());
  own->linear->extension = std::make_shared<Plain>();
  EXPECT_FALSE(step.forward(batch_of(*model, 2), true, never)) << "something that is no addition";
  own->linear->extension.reset();
  EXPECT_TRUE(step.forward(batch_of(*model, 2), true, never));

  const auto wide = open(request("fp32", {}));
  const auto wide_pool = filled_pool(wide->language_model());
  EXPECT_FALSE(DecodeStep(wide->language_model(), wide_pool).forward(batch_of(*wide, 2), true, never)) << "nothing is packed";
}

TEST_F(DecodeStepTest, RefusesSlotsThatAreNotThere) {
  const Cancellation never;
  const auto model = open(request("bf16", {.text = "int8"}));
  const auto pool = filled_pool(model->language_model());
  DecodeStep step(model->language_model(), pool);
  for (const int64_t slot : {int64_t{-1}, kBlocks * kBlockSize}) {
    auto batch = batch_of(*model, 2);
    batch.slots[1] = slot;
    EXPECT_THROW(step.forward(batch, true, never), Error);
  }
  auto batch = batch_of(*model, 2);
  batch.singles->rows.block_table[1][0] = static_cast<int>(kBlocks);
  EXPECT_THROW(step.forward(batch, true, never), Error);
  batch = batch_of(*model, 2);
  batch.singles->rows.lengths[1] = 6 * kBlockSize + 1;
  EXPECT_THROW(step.forward(batch, true, never), Error);
}

TEST_F(DecodeStepTest, StopsWhereItIsCancelled) {
  const auto model = open(request("bf16", {.text = "int8"}));
  const auto pool = filled_pool(model->language_model()), other = filled_pool(model->language_model());
  DecodeStep step(model->language_model(), pool);
  Cancellation cancellation;
  cancellation.request();
  const auto batch = batch_of(*model, 3);
  EXPECT_THROW(step.forward(batch, true, cancellation), Error);
  const Cancellation never;
  const auto found = step.forward(batch, false, never);
  ASSERT_TRUE(found);
  EXPECT_TRUE(at::equal(found->hidden, model->language_model().forward(batch, other, never, {})));
}

}  // namespace
}  // namespace facellm

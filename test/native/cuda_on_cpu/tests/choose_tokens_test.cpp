// choose_tokens_cuda.cu on the CPU: the choices of the host's sampler.
#include "caught.h"
#include "choose_tokens_check.h"
#include "core/philox.h"

namespace facellm {
namespace {

void expect_equal(const Comparison& comparison) {
  EXPECT_GT(comparison.elements, 0);
  EXPECT_EQ(comparison.different, 0) << comparison.first;
}

TEST(ChooseTokensOnCpu, ChoosesAsTheHostDoes) {
  cuda_on_cpu::in_all_orders([] { expect_equal(check_choose_tokens_shapes(choose_tokens_cuda)); });
}

// Each of these draws falls where the host's falls: borders between tokens are moved by 2^-20 at most.
TEST(ChooseTokensOnCpu, ManyDraws) {
  std::vector<ChoiceCase> cases;
  for (int i = 0; i < 12; ++i) {
    for (const auto& own : choice_cases()) {
      if (!own.options.is_greedy) cases.push_back(own);
    }
  }
  expect_equal(check_choose_tokens<float>(choose_tokens_cuda, 300, cases, 5));
  expect_equal(check_choose_tokens<__nv_bfloat16>(choose_tokens_cuda, 300, cases, 6));
}

TEST(ChooseTokensOnCpu, AVocabularyOfARealModel) {
  expect_equal(check_choose_tokens<__nv_bfloat16>(
      choose_tokens_cuda, 151674, {{{.is_greedy = true}}, {{.temperature = 0.7, .top_k = 20, .top_p = 0.8}, 3.f}}, 7));
}

}  // namespace
}  // namespace facellm

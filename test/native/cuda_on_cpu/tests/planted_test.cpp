// The checker itself: each bug that is planted into a copy of a real kernel must be found, in every order of threads, and
// be told as what it is (planted/bugs.mjs).
#include "planted/planted.h"

#include <algorithm>

#include "caught.h"

namespace cuda_on_cpu {
namespace {

class Planted : public testing::TestWithParam<PlantedBug> {};

TEST_P(Planted, IsFound) {
  const PlantedBug& bug = GetParam();
  in_all_orders([&] {
    facellm::Comparison comparison;
    const auto report = caught([&] { comparison = bug.run(); });
    if (bug.faults.empty()) {
      EXPECT_FALSE(report) << report->text;
      EXPECT_EQ(comparison.different > 0, !bug.is_harmless) << comparison.first;
      return;
    }
    ASSERT_TRUE(report) << "nothing was told" << (comparison.different > 0 ? ", the numbers differ" : "");
    EXPECT_TRUE(std::count(bug.faults.begin(), bug.faults.end(), report->fault)) << report->text;
    EXPECT_NE(report->text.find(bug.says), std::string::npos) << report->text;
    EXPECT_NE(report->place.line.find(bug.at), std::string::npos) << report->text;
    EXPECT_NE(report->kernel.find("_kernel"), std::string::npos) << report->text;
    if (report->fault == Fault::kLaunch) return;
    EXPECT_NE(report->place.line.find(".cu"), std::string::npos) << report->text;
    EXPECT_GE(report->place.block, 0) << report->text;
    EXPECT_GE(report->place.thread, 0) << report->text;
    if (report->fault == Fault::kRace) {
      EXPECT_NE(report->other.line.find(".cu"), std::string::npos) << report->text;
    }
    if (std::getenv("FACELLM_SHOW_REPORTS")) std::printf("%s\n  %s\n", bug.name, report->text.c_str());
  });
}

std::string test_name(const testing::TestParamInfo<PlantedBug>& info) {
  std::string name;
  for (const char c : std::string(info.param.name)) name += std::isalnum(c) ? c : '_';
  return name;
}

INSTANTIATE_TEST_SUITE_P(Bugs, Planted, testing::ValuesIn(planted_bugs()), test_name);

}  // namespace
}  // namespace cuda_on_cpu

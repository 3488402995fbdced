// kernels/cpu/spin_team: work is done once, what one member wrote the next phase sees, and who waits long sleeps. And the choice of a distance by turns.
#include "kernels/cpu/spin_team.h"

#include <gtest/gtest.h>

#include <chrono>
#include <numeric>

#include "kernels/cpu/prefetch_choice.h"

namespace facellm {
namespace {

TEST(SpinTeam, SharesEveryPieceOutOnce) {
  for (const int64_t members : {1, 2, 3, 5}) {
    SpinTeam team(members);
    EXPECT_EQ(team.members(), members);
    for (const int64_t count : {0, 1, 2, 3, 7, 100, 1000}) {
      std::vector<int> done(static_cast<size_t>(count));
      team.run([&](SpinTeam::Member& member) {
        for (int phase = 0; phase < 5; ++phase) {
          member.share_out(count, [&](int64_t begin, int64_t end) {
            for (int64_t i = begin; i < end; ++i) ++done[static_cast<size_t>(i)];
          });
        }
      });
      EXPECT_EQ(std::count(done.begin(), done.end(), 5), count) << members << " members";
    }
    EXPECT_EQ(team.barriers(), 7 * (5 + 1)) << "one a phase, and one at a run's end";
  }
}

// Each phase reads what all wrote in the one before: a barrier that lets anybody through early gives another sum.
TEST(SpinTeam, ShowsEachWhatTheOthersWrote) {
  constexpr int64_t kMembers = 3, kPhases = 20000;
  SpinTeam team(kMembers);
  int64_t written[2][kMembers] = {};
  int64_t wrong = 0;
  team.run([&](SpinTeam::Member& member) {
    for (int64_t phase = 1; phase <= kPhases; ++phase) {
      written[phase % 2][member.index()] = phase;
      member.wait();
      for (const int64_t own : written[phase % 2]) {
        if (own != phase) std::atomic_ref(wrong).fetch_add(1);
      }
    }
  });
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(team.barriers(), kPhases + 1);
}

TEST(SpinTeam, SleepsWhereOneIsSlow) {
  SpinTeam team(2);
  team.run([](SpinTeam::Member& member) {
    if (member.index() == 1) std::this_thread::sleep_for(std::chrono::milliseconds(20));
    member.wait();
  });
  EXPECT_GE(team.sleeps(), 1);
}

int64_t chosen(double near, double far) {
  PrefetchChoice choice;
  for (int64_t i = 0; !choice.is_made(); ++i) {
    EXPECT_LT(i, 100);
    // Every fourth step is disturbed.
    choice.took((choice.bytes() == kPrefetchNear ? near : far) + (i % 8 == 5 ? 100 : 0), 1);
  }
  return choice.bytes();
}

TEST(PrefetchChoice, TakesTheDistanceThatWasFaster) {
  EXPECT_EQ(chosen(3, 2), kPrefetchFar);
  EXPECT_EQ(chosen(2, 3), kPrefetchNear);
  PrefetchChoice choice;
  for (int64_t i = 0; i < 100; ++i) choice.took(1, i / 15);
  EXPECT_FALSE(choice.is_made()) << "steps of one kind alone are comparable";
  // Another kind comes at every turn of the far one, and is never counted as a near one.
  PrefetchChoice disturbed;
  for (int64_t i = 0; i < 3; ++i) {
    disturbed.took(1, 2);
    ASSERT_EQ(disturbed.bytes(), kPrefetchFar);
    disturbed.took(1, 3);
    EXPECT_EQ(disturbed.bytes(), kPrefetchNear);
  }
}

}  // namespace
}  // namespace facellm

// Ranks as threads of this process, over loopback: c10d does not mind, and nothing is left behind.
#include <gtest/gtest.h>

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <functional>
#include <thread>
#include <vector>

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include "distributed/gradient_reducer.h"
#include "distributed/process_group.h"

namespace facellm {
namespace {

using Group = std::shared_ptr<ProcessGroup>;

int64_t free_port() {
  const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  ::bind(socket, reinterpret_cast<sockaddr*>(&address), size);
  ::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size);
  ::close(socket);
  return ntohs(address.sin_port);
}

GroupRequest request(int64_t rank, int64_t size, int64_t port, double timeout = 60) {
  return {rank, size, "127.0.0.1", port, rank == 0, "test", "cpu", timeout};
}

bool has_gloo() {
  const auto names = distributed_backends();
  return std::find(names.begin(), names.end(), "gloo") != names.end();
}

#define SKIP_WITHOUT_GLOO() \
  if (!has_gloo()) GTEST_SKIP() << "this build has no Gloo (Debian: apt-get install libgloo-dev)"

// Runs `work` as every rank; what it throws is rethrown by rank.
std::vector<std::exception_ptr> run_ranks(int64_t size, const std::function<void(const Group&)>& work) {
  const int64_t port = free_port();
  std::vector<std::exception_ptr> errors(static_cast<size_t>(size));
  std::vector<std::thread> threads;
  for (int64_t rank = 0; rank < size; ++rank) {
    threads.emplace_back([&, rank] {
      try {
        work(ProcessGroup::join(request(rank, size, port), Cancellation()));
      } catch (...) {
        errors[static_cast<size_t>(rank)] = std::current_exception();
      }
    });
  }
  for (auto& thread : threads) thread.join();
  return errors;
}

void expect_none(const std::vector<std::exception_ptr>& errors) {
  for (const auto& error : errors) {
    if (error) std::rethrow_exception(error);
  }
}

Error error_of(const std::exception_ptr& pointer) {
  try {
    if (pointer) std::rethrow_exception(pointer);
  } catch (const Error& error) {
    return error;
  }
  return Error(ErrorCode::kInternal, "nothing was thrown");
}

at::Tensor leaf(std::initializer_list<int64_t> shape) { return at::ones(shape).set_requires_grad(true); }

TEST(ProcessGroup, SumsNumbersOfAllRanks) {
  SKIP_WITHOUT_GLOO();
  expect_none(run_ranks(3, [](const Group& group) {
    const auto sums = group->sum({1.0, static_cast<double>(group->rank())}, Cancellation());
    EXPECT_EQ(sums, (std::vector<double>{3.0, 3.0}));
    EXPECT_EQ(group->backend(), "gloo");
  }));
}

TEST(ProcessGroup, GathersInOrderOfRanksAndBroadcastsFromTheFirst) {
  SKIP_WITHOUT_GLOO();
  expect_none(run_ranks(2, [](const Group& group) {
    const auto own = at::full({3}, group->rank(), at::kBFloat16);
    const auto all = at::empty({6}, at::kBFloat16);
    group->wait(*group->all_gather(own, all), Cancellation());
    EXPECT_TRUE(at::equal(all, at::tensor({0, 0, 0, 1, 1, 1}).to(at::kBFloat16)));
    group->wait(*group->broadcast(own), Cancellation());
    EXPECT_EQ(own[0].item<float>(), 0);
  }));
}

TEST(ProcessGroup, EndsEveryRankWithTheErrorOfTheOneThatFailed) {
  SKIP_WITHOUT_GLOO();
  const auto errors = run_ranks(3, [](const Group& group) {
    if (group->rank() == 1) {
      group->fail("FACELLM_LOSS_NON_FINITE", "the loss is nan");
      return;
    }
    group->sum({1.0}, Cancellation());
  });
  EXPECT_FALSE(errors[1]);
  for (const size_t rank : {0, 2}) {
    const auto error = error_of(errors[rank]);
    EXPECT_EQ(error.code(), ErrorCode::kLossNonFinite);
    EXPECT_NE(error.message().find("rank 1"), std::string::npos) << error.message();
    EXPECT_NE(error.message().find("the loss is nan"), std::string::npos) << error.message();
  }
}

TEST(ProcessGroup, NamesRanksThatDoNotCome) {
  SKIP_WITHOUT_GLOO();
  try {
    ProcessGroup::join(request(0, 3, free_port(), 0.3), Cancellation());
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kDistributed);
    EXPECT_NE(error.message().find("rank 1, rank 2 did not come"), std::string::npos) << error.message();
  }
}

TEST(ProcessGroup, StopsWaitingWhenCancelled) {
  SKIP_WITHOUT_GLOO();
  Cancellation cancelled;
  cancelled.request();
  const auto errors = run_ranks(2, [&](const Group& group) {
    if (group->rank() == 1) {
      group->sum({1.0}, Cancellation());
      return;
    }
    group->sum({1.0}, Cancellation());
    group->sum({1.0}, cancelled);
  });
  EXPECT_EQ(error_of(errors[0]).code(), ErrorCode::kCancelled);
  EXPECT_FALSE(errors[1]);
}

// y = sum of products with every used leaf, one after the other; the last leaf's gradient comes first.
at::Tensor chain(const at::Tensor& x, const std::vector<at::Tensor>& leaves) {
  auto y = x;
  for (const auto& one : leaves) y = y * one.sum();
  return y.sum();
}

TEST(GradientReducer, SumsOverRanksAndMicroBatchesInSeveralBuckets) {
  SKIP_WITHOUT_GLOO();
  expect_none(run_ranks(2, [](const Group& group) {
    const std::vector<at::Tensor> leaves{leaf({2, 3}), leaf({4}), leaf({3}), leaf({5})};
    GradientReducer reducer(group, leaves, std::vector<bool>(4, false), /*bucket_bytes=*/32);
    EXPECT_EQ(reducer.bucket_count(), 3u);  // 5 and 3 floats, 4, 6
    const auto x = at::full({1}, group->rank() + 1.0);
    chain(x, leaves).backward();  // an earlier micro-batch
    reducer.arm();
    chain(x, leaves).backward();
    reducer.flush();
    reducer.finish(Cancellation());
    reducer.finish(Cancellation());  // idempotent
    // d/d(element of leaf i) = x times the other sums; two passes, x of 1 and 2.
    const std::vector<double> sums{6, 4, 3, 5};
    for (size_t i = 0; i < leaves.size(); ++i) {
      const double expected = 2 * (1 + 2) * (6 * 4 * 3 * 5 / sums[i]);
      EXPECT_TRUE(at::allclose(leaves[i].grad(), at::full_like(leaves[i].grad(), expected))) << i;
      EXPECT_EQ(leaves[i].grad().sizes(), leaves[i].sizes());
    }
    reducer.reset();
  }));
}

TEST(GradientReducer, SendsBucketsBeforeTheBackwardPassEnds) {
  SKIP_WITHOUT_GLOO();
  expect_none(run_ranks(2, [](const Group& group) {
    const std::vector<at::Tensor> leaves{leaf({4}), leaf({4}), leaf({4})};
    GradientReducer reducer(group, leaves, std::vector<bool>(3, false), /*bucket_bytes=*/16);
    size_t sent_at_last = 0;
    leaves[0].register_hook([&](at::Tensor) { sent_at_last = reducer.sent_count(); });
    reducer.arm();
    chain(at::ones({1}), leaves).backward();
    EXPECT_EQ(sent_at_last, 2u);
    reducer.flush();
    EXPECT_EQ(reducer.sent_count(), 3u);
    reducer.finish(Cancellation());
  }));
}

TEST(GradientReducer, TellsLeavesThatNoRankUsed) {
  SKIP_WITHOUT_GLOO();
  expect_none(run_ranks(2, [](const Group& group) {
    const std::vector<at::Tensor> leaves{leaf({2}), leaf({2}), leaf({2})};
    GradientReducer reducer(group, leaves, std::vector<bool>(3, false), 1 << 20);
    reducer.arm();
    // Leaf 0 on rank 0 only, leaf 1 on none.
    std::vector<at::Tensor> used{leaves[2]};
    if (group->rank() == 0) used.push_back(leaves[0]);
    chain(at::ones({1}), used).backward();
    reducer.flush();
    reducer.finish(Cancellation());
    EXPECT_TRUE(at::allclose(leaves[0].grad(), at::full({2}, 2.0)));
    EXPECT_FALSE(leaves[1].grad().defined());
    EXPECT_TRUE(at::allclose(leaves[2].grad(), at::full({2}, 3.0)));
  }));
}

TEST(GradientReducer, TakesPartWithoutSamples) {
  SKIP_WITHOUT_GLOO();
  expect_none(run_ranks(2, [](const Group& group) {
    const std::vector<at::Tensor> leaves{leaf({2}), leaf({2})};
    GradientReducer reducer(group, leaves, std::vector<bool>(2, false), 8);
    for (int update = 0; update < 2; ++update) {
      reducer.arm();
      if (group->rank() == 1) {
        chain(at::ones({1}), leaves).backward();
      } else {
        reducer.pass_over({1});
        reducer.pass_over({0});
      }
      reducer.flush();
      reducer.finish(Cancellation());
      EXPECT_TRUE(at::allclose(leaves[0].grad(), at::full({2}, 2.0)));
      for (const auto& one : leaves) one.mutable_grad() = at::Tensor();
      reducer.reset();
    }
  }));
}

TEST(GradientReducer, WaitsForGradientsThatComeInPieces) {
  SKIP_WITHOUT_GLOO();
  expect_none(run_ranks(2, [](const Group& group) {
    const std::vector<at::Tensor> leaves{leaf({2}), leaf({2})};
    GradientReducer reducer(group, leaves, {true, false}, 1 << 20);
    EXPECT_EQ(reducer.bucket_count(), 2u);
    reducer.arm();
    chain(at::ones({1}), leaves).backward();
    (leaves[0] * 10).sum().backward();
    EXPECT_EQ(reducer.sent_count(), 1u);
    reducer.flush();
    reducer.finish(Cancellation());
    EXPECT_TRUE(at::allclose(leaves[0].grad(), at::full({2}, 2 * (2.0 + 10))));
  }));
}

}  // namespace
}  // namespace facellm

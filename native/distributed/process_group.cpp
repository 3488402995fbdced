#include "distributed/process_group.h"

#include <ATen/ATen.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>

#include "core/device.h"
#include "distributed/backend.h"
#include "distributed/watcher.h"

namespace facellm {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;
using Store = c10::intrusive_ptr<c10d::Store>;

// Between two looks at a collective under way: short beside a step, long beside a spinning core.
constexpr auto kPoll = std::chrono::microseconds(50);
constexpr auto kJoinPoll = milliseconds(50);
// Of one attempt to reach another rank's store; cancellation is looked at in between.
constexpr auto kAttempt = milliseconds(2000);
// Of one question to it: the machine that keeps it may stand still for a while.
constexpr auto kAnswer = std::chrono::seconds(60);

std::vector<uint8_t> bytes(const std::string& text) { return {text.begin(), text.end()}; }
std::string text(const std::vector<uint8_t>& data) { return {data.begin(), data.end()}; }

std::string own_name() {
  std::array<char, 256> host{};
  ::gethostname(host.data(), host.size() - 1);
  return "process " + std::to_string(::getpid()) + " on " + host.data();
}

std::string first_line(const std::exception& error) {
  const std::string what = error.what();
  return what.substr(0, what.find('\n'));
}

// A connection to the job's store, made anew until it works.
Store connect(const GroupRequest& request, bool hosts, Clock::time_point end,
              const Cancellation& cancellation) {
  for (;;) {
    cancellation.check();
    try {
      c10d::TCPStoreOptions options;
      options.port = static_cast<uint16_t>(request.port);
      options.isServer = hosts;
      options.waitWorkers = false;
      options.timeout = hosts ? milliseconds(kAnswer) : kAttempt;
      auto store = c10::make_intrusive<c10d::TCPStore>(request.address, options);
      store->setTimeout(kAnswer);
      return c10::make_intrusive<c10d::PrefixStore>(request.prefix, std::move(store));
    } catch (const std::exception& error) {
      if (!hosts && Clock::now() < end) continue;
      throw Error(ErrorCode::kDistributed,
                  "the job's store at " + request.address + ":" + std::to_string(request.port) +
                      (hosts ? " cannot be opened by rank 0: is the port in use? c10d said: "
                             : " cannot be reached: does rank 0 run, are MASTER_ADDR and MASTER_PORT right? "
                               "c10d said: ") +
                      first_line(error));
    }
  }
}

std::string name_key(int64_t rank) { return "name/" + std::to_string(rank); }

// Names of all ranks, when all have come.
std::vector<std::string> meet(const GroupRequest& request, const Store& store, Clock::time_point end,
                              const Cancellation& cancellation) {
  const auto size = text(store->compareSet("size", {}, bytes(std::to_string(request.size))));
  if (size != std::to_string(request.size)) {
    throw Error(ErrorCode::kDistributed, "rank " + std::to_string(request.rank) + " expects a job of " +
                                             std::to_string(request.size) + " processes, another of " + size);
  }
  const auto own = own_name();
  const auto standing = text(store->compareSet(name_key(request.rank), {}, bytes(own)));
  if (standing != own) {
    throw Error(ErrorCode::kDistributed, "two processes are rank " + std::to_string(request.rank) + ": " + own +
                                             " and " + standing + "; give each its own RANK");
  }
  store->set(Watcher::beat_key(request.rank), bytes("0"));
  std::vector<std::string> names;
  for (int64_t rank = 0; rank < request.size; ++rank) {
    const auto key = Watcher::beat_key(rank);
    while (!store->check({key})) {
      cancellation.check();
      if (Clock::now() > end) break;
      std::this_thread::sleep_for(kJoinPoll);
    }
    names.push_back(store->check({key}) ? text(store->get(name_key(rank))) : "");
  }
  std::string missing;
  for (int64_t rank = 0; rank < request.size; ++rank) {
    if (!names[static_cast<size_t>(rank)].empty()) continue;
    missing += (missing.empty() ? "rank " : ", rank ") + std::to_string(rank);
  }
  if (missing.empty()) return names;
  throw Error(ErrorCode::kDistributed,
              missing + " did not come within " +
                  std::to_string(static_cast<int64_t>(request.join_timeout_seconds)) +
                  " s; look at the output of those processes");
}

}  // namespace

struct Pending {
  c10::intrusive_ptr<c10d::Work> work;
  // The work reads and writes these while it runs.
  std::vector<at::Tensor> tensors;
};

struct ProcessGroup::State {
  int64_t rank, size;
  std::string backend_name;
  at::Device device = at::kCPU;
  Store store;  // rank 0's holds the server
  c10::intrusive_ptr<c10d::Backend> backend;
  std::mutex backend_mutex;  // the watcher aborts what this thread has just made
  std::unique_ptr<Watcher> watcher;
  std::atomic<bool> has_abandoned{false};  // a collective that nobody waits for any more
  bool has_left = false;

  // Turns c10d's exception into the job's failure.
  [[noreturn]] void explain(const std::string& what, const Cancellation& cancellation) const {
    watcher->suspect(what);
    // A roll call takes two seconds.
    const auto end = Clock::now() + std::chrono::seconds(10);
    while (Clock::now() < end) {
      cancellation.check();
      watcher->check();
      std::this_thread::sleep_for(kJoinPoll);
    }
    throw Error(ErrorCode::kDistributed, "the job's ranks lost each other; c10d said: " + what);
  }

  // Starts a collective over `tensors`, which live as long as it runs.
  template <typename Start>
  std::shared_ptr<Pending> begin(std::vector<at::Tensor> tensors, Start start) const {
    watcher->check();
    auto pending = std::make_shared<Pending>();
    pending->tensors = std::move(tensors);
    std::string fault;
    try {
      pending->work = start(pending->tensors);
      return pending;
    } catch (const std::exception& error) {
      fault = first_line(error);
    }
    explain(fault, Cancellation());
  }
};

ProcessGroup::ProcessGroup(std::unique_ptr<State> state) : state_(std::move(state)) {}

ProcessGroup::~ProcessGroup() { leave(); }

std::shared_ptr<ProcessGroup> ProcessGroup::join(const GroupRequest& request,
                                                 const Cancellation& cancellation) {
  auto state = std::make_unique<State>();
  state->rank = request.rank;
  state->size = request.size;
  state->device = parse_device(request.device);
  state->backend_name = backend_for(state->device);
  const auto end = Clock::now() + milliseconds(static_cast<int64_t>(request.join_timeout_seconds * 1000));
  state->store = connect(request, request.hosts_store, end, cancellation);
  try {
    auto names = meet(request, state->store, end, cancellation);
    auto* own = state.get();
    state->watcher = std::make_unique<Watcher>(
        connect(request, false, end, cancellation), request.rank, std::move(names), request.hosts_store,
        [own] {
          const std::lock_guard lock(own->backend_mutex);
          // Frees ranks whose NCCL kernels wait on the device; Gloo has no such call.
          if (own->backend) own->backend->abort();
        });
    auto backend = make_backend(c10::make_intrusive<c10d::PrefixStore>("c10d", state->store),
                                static_cast<int>(request.rank), static_cast<int>(request.size),
                                state->device, request.address);
    const std::lock_guard lock(state->backend_mutex);
    state->backend = std::move(backend);
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    throw Error(ErrorCode::kDistributed, "the job's ranks could not connect to each other; c10d said: " +
                                             first_line(error));
  }
  const auto group = std::shared_ptr<ProcessGroup>(new ProcessGroup(std::move(state)));
  // The first collective makes NCCL's communicator, which takes all ranks at once: now, while they are here.
  group->sum({1.0}, cancellation);
  return group;
}

int64_t ProcessGroup::rank() const { return state_->rank; }
int64_t ProcessGroup::size() const { return state_->size; }
const std::string& ProcessGroup::backend() const { return state_->backend_name; }

std::string ProcessGroup::device() const { return state_->device.str(); }

std::vector<double> ProcessGroup::sum(const std::vector<double>& values, const Cancellation& cancellation) {
  const auto tensor = at::tensor(values, at::kDouble).to(state_->device);
  wait(*all_reduce_sum(tensor), cancellation);
  const auto result = tensor.to(at::kCPU);
  return {result.const_data_ptr<double>(), result.const_data_ptr<double>() + result.numel()};
}

std::shared_ptr<Pending> ProcessGroup::all_reduce_sum(const at::Tensor& tensor) {
  return state_->begin({tensor}, [this](auto& tensors) { return state_->backend->allreduce(tensors); });
}

std::shared_ptr<Pending> ProcessGroup::all_gather(const at::Tensor& own, const at::Tensor& all) {
  return state_->begin({all, own}, [this](auto& tensors) {
    return all_gather_flat(*state_->backend, tensors[0], tensors[1]);
  });
}

std::shared_ptr<Pending> ProcessGroup::broadcast(const at::Tensor& tensor) {
  return state_->begin({tensor}, [this](auto& tensors) { return state_->backend->broadcast(tensors); });
}

void ProcessGroup::wait(const Pending& pending, const Cancellation& cancellation) {
  std::string fault;
  try {
    while (!pending.work->isCompleted()) {
      cancellation.check();
      check();
      std::this_thread::sleep_for(kPoll);
    }
    pending.work->wait();  // rethrows its failure; on CUDA, lets this stream see the result
    return;
  } catch (const Error&) {
    state_->has_abandoned = true;
    throw;
  } catch (const std::exception& error) {
    fault = first_line(error);
  }
  state_->explain(fault, cancellation);
}

void ProcessGroup::check() const { state_->watcher->check(); }

void ProcessGroup::fail(const std::string& code, const std::string& message) noexcept {
  state_->watcher->post(code, message);
}

void ProcessGroup::leave() noexcept {
  if (state_->has_left) return;
  state_->has_left = true;
  state_->watcher->leave();
  if (state_->watcher->has_failed() || state_->has_abandoned) {
    // Its threads may be waiting for a rank that is gone, and its destructor would wait for them. The
    // connections close with the process.
    (void)state_->backend.release();
  } else {
    state_->backend.reset();
  }
  state_->store.reset();
}

}  // namespace facellm

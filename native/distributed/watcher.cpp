#include "distributed/watcher.h"

#include <algorithm>
#include <chrono>

namespace facellm {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr auto kTurn = milliseconds(200);
// Ten turns: a thread of a busy machine may miss some.
constexpr auto kRollCall = seconds(2);
// A machine may stand still for a while (swapping, a suspended debugger) and come back.
constexpr auto kSilence = seconds(60);
constexpr auto kPatienceOfHost = seconds(10);
constexpr auto kPatienceAfterFailure = seconds(3);
const char* const kFailureKey = "failure";

std::vector<uint8_t> bytes(const std::string& text) { return {text.begin(), text.end()}; }
std::string text(const std::vector<uint8_t>& data) { return {data.begin(), data.end()}; }

std::string left_key(int64_t rank) { return "left/" + std::to_string(rank); }

ErrorCode code_named(const std::string& name) {
  for (const auto& entry : error_code_table()) {
    const bool is_personal = entry.code == ErrorCode::kCancelled || entry.code == ErrorCode::kDisposed;
    if (entry.name == name && !is_personal) return entry.code;
  }
  return ErrorCode::kDistributed;  // codes of TypeScript's, or nobody else's business
}

}  // namespace

Watcher::Watcher(c10::intrusive_ptr<c10d::Store> store, int64_t rank, std::vector<std::string> names,
                 bool hosts_store, std::function<void()> on_failure)
    : store_(std::move(store)),
      rank_(rank),
      size_(static_cast<int64_t>(names.size())),
      names_(std::move(names)),
      hosts_store_(hosts_store),
      on_failure_(std::move(on_failure)),
      last_turn_(Clock::now().time_since_epoch().count()),
      next_seen_(Clock::now()),
      thread_([this] { run(); }) {}

Watcher::~Watcher() { leave(); }

std::string Watcher::beat_key(int64_t rank) { return "beat/" + std::to_string(rank); }

bool Watcher::has_failed() const {
  const std::lock_guard lock(mutex_);
  return failure_.has_value();
}

void Watcher::check() const {
  {
    const std::lock_guard lock(mutex_);
    if (failure_) throw Error(code_named(failure_->code), failure_->message);
  }
  const auto last = Clock::time_point(Clock::duration(last_turn_.load()));
  if (Clock::now() - last > kSilence) {
    throw Error(ErrorCode::kDistributed,
                "the job's store has not answered for a minute; the machine that keeps it, or the network, "
                "is gone. The run resumes from its last checkpoint");
  }
}

void Watcher::post(const std::string& code, const std::string& message) {
  const std::lock_guard lock(mutex_);
  if (!to_post_) to_post_ = Failure{code, message, rank_};
  wake_.notify_all();
}

void Watcher::suspect(const std::string& what) {
  const std::lock_guard lock(mutex_);
  if (!suspicion_) suspicion_ = what;
  wake_.notify_all();
}

void Watcher::leave() {
  {
    const std::lock_guard lock(mutex_);
    is_leaving_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Watcher::run() {
  try {
    for (;;) {
      turn();
      last_turn_ = Clock::now().time_since_epoch().count();
      std::unique_lock lock(mutex_);
      // What is to be posted is posted before leaving.
      if (is_leaving_ && (!to_post_ || failure_)) break;
      wake_.wait_for(lock, kTurn, [this] { return is_leaving_ || (to_post_ && !failure_); });
    }
    mark_left();
    if (hosts_store_) wait_for_others();
  } catch (const std::exception& error) {
    // The store's connection is closed: its keeper is gone. A rank that is about to leave does not mind.
    bool is_leaving;
    {
      const std::lock_guard lock(mutex_);
      is_leaving = is_leaving_ && !to_post_;
    }
    if (!is_leaving) {
      settle({"FACELLM_DISTRIBUTED",
              "the job's store cannot be reached any more; its keeper, rank 0 (" + names_[0] +
                  ") or the launcher, is gone. The run resumes from its last checkpoint",
              0});
    }
  }
}

void Watcher::turn() {
  const auto count = std::to_string(++beats_);
  store_->set(beat_key(rank_), bytes(count));
  std::optional<Failure> own;
  {
    const std::lock_guard lock(mutex_);
    if (!failure_) own = to_post_;
  }
  if (own) publish(*own);
  if (has_failed()) {
    mark_left();
    return;
  }
  if (store_->check({kFailureKey})) {
    const auto notice = text(store_->get(kFailureKey));
    const auto first = notice.find('\n'), second = notice.find('\n', first + 1);
    settle({notice.substr(0, first), notice.substr(second + 1),
            std::stoll(notice.substr(first + 1, second - first - 1))});
    return;
  }
  bool is_suspecting;
  {
    const std::lock_guard lock(mutex_);
    is_suspecting = suspicion_.has_value();
  }
  if (is_suspecting) {
    call_roll();
  } else {
    watch_next();
  }
}

// The first failure of the job stands; the others learn of it as this rank does.
void Watcher::publish(const Failure& failure) {
  const auto notice = failure.code + "\n" + std::to_string(failure.rank) + "\n" + failure.message;
  const auto standing = text(store_->compareSet(kFailureKey, {}, bytes(notice)));
  if (standing == notice) {
    settle(failure);
  }  // else the next turn reads it
}

void Watcher::settle(Failure failure) {
  {
    const std::lock_guard lock(mutex_);
    if (failure_) return;
    // The rank that failed knows what happened to itself.
    if (failure.rank != rank_ && failure.code != "FACELLM_DISTRIBUTED") {
      failure.message = "rank " + std::to_string(failure.rank) + " (" +
                        names_[static_cast<size_t>(failure.rank)] + ") ended the job: " + failure.message;
      if (code_named(failure.code) == ErrorCode::kDistributed) {
        failure.message += " (" + failure.code + ")";
      }
    }
    failure_ = std::move(failure);
  }
  on_failure_();
}

std::string Watcher::beat_of(int64_t rank) { return text(store_->get(beat_key(rank))); }

bool Watcher::has_left(int64_t rank) { return store_->check({left_key(rank)}); }

void Watcher::mark_left() {
  if (has_marked_) return;
  has_marked_ = true;
  store_->set(left_key(rank_), bytes("1"));
}

void Watcher::watch_next() {
  const int64_t next = (rank_ + 1) % size_;
  if (next == rank_) return;
  auto beat = beat_of(next);
  const auto now = Clock::now();
  if (beat != next_beat_ || has_left(next)) {
    next_beat_ = std::move(beat);
    next_seen_ = now;
  } else if (now - next_seen_ > kSilence) {
    gone_ = {next};
    publish({"FACELLM_DISTRIBUTED",
             "rank " + std::to_string(next) + " (" + names_[static_cast<size_t>(next)] +
                 ") has not been heard of for a minute. The run resumes from its last checkpoint",
             rank_});
  }
}

void Watcher::call_roll() {
  if (roll_.empty()) {
    for (int64_t rank = 0; rank < size_; ++rank) roll_.push_back(beat_of(rank));
    roll_began_ = Clock::now();
    return;
  }
  if (Clock::now() - roll_began_ < kRollCall) return;
  std::string who;
  for (int64_t rank = 0; rank < size_; ++rank) {
    if (rank == rank_ || beat_of(rank) != roll_[static_cast<size_t>(rank)]) continue;
    gone_.push_back(rank);
    who += (who.empty() ? "rank " : ", rank ") + std::to_string(rank) + " (" +
           names_[static_cast<size_t>(rank)] + ")";
  }
  std::string what;
  {
    const std::lock_guard lock(mutex_);
    what = *suspicion_;
  }
  publish({"FACELLM_DISTRIBUTED",
           who.empty() ? "the ranks lost their connections to each other, though all of them live; c10d said: " + what
                       : who + (gone_.size() == 1 ? " is" : " are") +
                             " gone: ended or killed without a word. The run resumes from its last checkpoint",
           rank_});
}

void Watcher::wait_for_others() {
  const auto patience = has_failed() ? milliseconds(kPatienceAfterFailure) : milliseconds(kPatienceOfHost);
  const auto end = Clock::now() + patience;
  const auto is_done = [this] {
    for (int64_t rank = 0; rank < size_; ++rank) {
      if (std::find(gone_.begin(), gone_.end(), rank) == gone_.end() && !has_left(rank)) return false;
    }
    return true;
  };
  while (!is_done() && Clock::now() < end) std::this_thread::sleep_for(milliseconds(20));
}

}  // namespace facellm

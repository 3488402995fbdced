#include "binding/env_state.h"

#include <atomic>
#include <vector>

#include "binding/errors.h"
#include "binding/js_value.h"

namespace facellm {
namespace {

// Closures that may wait for the event loop before what makes them pauses. Counted here and not by the
// channel: a thread that waits inside the channel could not be woken when the process exits.
constexpr int kMostPending = 64;

// Unique in the process: the engines' queues are shared by all environments.
uint64_t next_job_id() {
  static std::atomic<uint64_t> next{1};
  return next.fetch_add(1);
}

}  // namespace

bool Port::enter(const std::shared_ptr<Cancellation>& cancellation) {
  const std::lock_guard lock(mutex_);
  if (is_closed_) return false;
  running_.insert(cancellation);
  return true;
}

void Port::leave(const std::shared_ptr<Cancellation>& cancellation) {
  const std::lock_guard lock(mutex_);
  running_.erase(cancellation);
  changed_.notify_all();
}

bool Port::enter_step() {
  const std::lock_guard lock(mutex_);
  if (is_closed_) return false;
  ++steps_;
  return true;
}

void Port::leave_step() {
  const std::lock_guard lock(mutex_);
  --steps_;
  changed_.notify_all();
}

void Port::deliver(JsClosure closure) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return is_closed_ || pending_ < kMostPending; });
  call(std::move(closure));
}

void Port::post(JsClosure closure) {
  const std::lock_guard lock(mutex_);
  call(std::move(closure));
}

void Port::call(JsClosure closure) {
  if (is_closed_) return;
  ++pending_;
  auto* data = new JsClosure(std::move(closure));
  // Under the lock: close() cannot release the channel meanwhile. Never blocks, its queue is unbounded.
  if (napi_call_threadsafe_function(channel_, data, napi_tsfn_nonblocking) != napi_ok) {
    --pending_;
    delete data;
  }
}

bool Port::is_full() {
  const std::lock_guard lock(mutex_);
  return pending_ >= kMostPending;
}

bool Port::delivered() {
  const std::lock_guard lock(mutex_);
  const bool was_full = pending_-- >= kMostPending;
  changed_.notify_all();
  return was_full;
}

void Port::close() {
  std::unique_lock lock(mutex_);
  is_closed_ = true;
  for (const auto& cancellation : running_) cancellation->request();
  changed_.notify_all();
  changed_.wait(lock, [this] { return running_.empty() && steps_ == 0; });
}

EnvState::EnvState(Napi::Env env) : env_(env), port_(std::make_shared<Port>()) {
  napi_create_threadsafe_function(env, nullptr, nullptr, js::text(env, "facellm"), 0, 1,
                                  nullptr, nullptr, this, call_js, &port_->channel_);
  napi_unref_threadsafe_function(env, port_->channel_);
  // After the channel: hooks run in reverse, and close() must come before the channel's own.
  napi_add_env_cleanup_hook(env, close, this);
}

EnvState::~EnvState() = default;

void EnvState::stop_on_exit(Napi::Env env) {
  const auto process = env.Global().Get("process").As<Napi::Object>();
  const auto stop = Napi::Function::New(
      env, [port = port_](const Napi::CallbackInfo&) { port->close(); }, "stopFacellm");
  process.Get("once").As<Napi::Function>().Call(process, {Napi::String::New(env, "exit"), stop});
}

void EnvState::close(void* self) {
  auto& state = *static_cast<EnvState*>(self);
  for (auto& [id, job] : state.jobs_) job.cancellation->request();
  state.port_->close();
  state.notify_engines();  // the models' loops drop what they hold for this environment
  napi_release_threadsafe_function(state.port_->channel_, napi_tsfn_abort);
  state.jobs_.clear();
  state.engines_.clear();
  state.side_threads_.reset();
}

EngineThread& EnvState::engine(const std::string& device) {
  const bool has_number = device.starts_with("cuda:") && device.size() <= std::string("cuda:127").size() &&
                          device.find_first_not_of("0123456789", 5) == std::string::npos;
  const std::string name = device == "cuda" ? "cuda:0" : has_number ? device : "cpu";
  auto& engine = engines_[name];
  if (!engine) engine = EngineThread::of(name);
  return *engine;
}

void EnvState::notify_engines() {
  for (const auto& [device, engine] : engines_) engine->notify();
}

void EnvState::call_js(napi_env env, napi_value, void* context, void* data) {
  const std::unique_ptr<JsClosure> closure(static_cast<JsClosure*>(data));
  if (env == nullptr) return;
  napi_handle_scope scope = nullptr;
  napi_open_handle_scope(env, &scope);
  auto& state = *static_cast<EnvState*>(context);
  if (state.port_->delivered()) state.notify_engines();
  (*closure)(env, state);
  if (scope != nullptr) napi_close_handle_scope(env, scope);
}

uint64_t EnvState::add(napi_env env, Job job) {
  if (jobs_.empty()) napi_ref_threadsafe_function(env, port_->channel_);
  const uint64_t id = next_job_id();
  jobs_.emplace(id, std::move(job));
  return id;
}

Job* EnvState::find(uint64_t id) {
  const auto found = jobs_.find(id);
  return found == jobs_.end() ? nullptr : &found->second;
}

void EnvState::remove(napi_env env, uint64_t id) {
  jobs_.erase(id);
  if (jobs_.empty()) napi_unref_threadsafe_function(env, port_->channel_);
}

void EnvState::resolve(napi_env env, uint64_t id, napi_value value) {
  Job* job = find(id);
  if (job == nullptr) return;
  // A cancelled answer resolves with what it has; not if its callback threw or its model is gone.
  if (job->is_disposing || !job->thrown.IsEmpty()) {
    reject(env, id, Error(ErrorCode::kCancelled, "the work was stopped"));
    return;
  }
  const napi_deferred deferred = job->deferred;
  remove(env, id);
  napi_resolve_deferred(env, deferred, value == nullptr ? js::undefined(env) : value);
}

void EnvState::reject(napi_env env, uint64_t id, const Error& error) {
  Job* job = find(id);
  if (job == nullptr) return;
  const napi_deferred deferred = job->deferred;
  napi_value reason = nullptr;
  if (!job->thrown.IsEmpty()) {
    napi_get_reference_value(env, job->thrown, &reason);
  } else if (job->is_disposing && error.code() == ErrorCode::kCancelled) {
    reason = to_js_error(env, Error(ErrorCode::kDisposed, "the model was disposed while it worked"));
  } else {
    reason = to_js_error(env, error);
  }
  remove(env, id);
  if (reason != nullptr) napi_reject_deferred(env, deferred, reason);
}

void EnvState::cancel(napi_env env, uint64_t id) {
  Job* job = find(id);
  if (job == nullptr) return;
  job->cancellation->request();
  if (job->engine == nullptr) return;
  if (job->engine->remove(id)) {
    reject(env, id, Error(ErrorCode::kCancelled, "the work was stopped before it began"));
  } else {
    job->engine->notify();
  }
}

void EnvState::cancel_all_of(napi_env env, const void* owner) {
  std::vector<uint64_t> ids;
  for (auto& [id, job] : jobs_) {
    if (job.owner != owner) continue;
    job.is_disposing = true;
    ids.push_back(id);
  }
  for (const uint64_t id : ids) cancel(env, id);
}

}  // namespace facellm

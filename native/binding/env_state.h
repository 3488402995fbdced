// What one JavaScript environment (the main thread or a worker) owns of the addon. Every reference to
// a JavaScript value lives in the job table here and is touched only on the environment's thread;
// closures on the engine thread know a job by its number.
#pragma once

#include <napi.h>

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <unordered_map>

#include "binding/engine_thread.h"
#include "binding/side_threads.h"
#include "core/cancellation.h"
#include "core/error.h"

namespace facellm {

class EnvState;

// Runs on the environment's thread. `env` is null if the environment is going down.
using JsClosure = std::function<void(napi_env env, EnvState& state)>;

// The engine's way into an environment. Outlives it; after close() nothing gets through.
class Port {
 public:
  // Brackets a job. False: the environment has closed and the job must not begin.
  bool enter(const std::shared_ptr<Cancellation>& cancellation);
  void leave(const std::shared_ptr<Cancellation>& cancellation);
  // Brackets a step of the engine that computes for the environment. False: it has closed.
  bool enter_step();
  void leave_step();
  // Waits while the environment has many closures to run (back-pressure). Dropped once closed.
  void deliver(JsClosure closure);
  // Never waits: for the engine's loop, which pauses a full environment's rows and nobody else's.
  void post(JsClosure closure);
  bool is_full();
  // A delivered closure has run. True if the port was full until now.
  bool delivered();
  // Lets nothing more through, stops the jobs under way and waits for their ends, and for those of steps.
  void close();

 private:
  friend class EnvState;
  void call(JsClosure closure);  // under the lock
  std::mutex mutex_;
  std::condition_variable changed_;
  napi_threadsafe_function channel_ = nullptr;
  bool is_closed_ = false;
  int pending_ = 0;                             // closures delivered and not yet run
  int steps_ = 0;                               // under way: of each device one, or none
  std::set<std::shared_ptr<Cancellation>> running_;  // of the jobs under way
};

struct Job {
  napi_deferred deferred = nullptr;
  Napi::FunctionReference callback;       // tokens, progress; may be empty
  std::shared_ptr<Cancellation> cancellation;
  const void* owner = nullptr;            // the model that the job works for
  EngineThread* engine = nullptr;         // whose queue it is in; null: in none
  bool is_disposing = false;              // cancelled because its model was disposed
  Napi::Reference<Napi::Value> thrown;    // by the callback
};

class EnvState {
 public:
  explicit EnvState(Napi::Env env);
  ~EnvState();

  // process.exit() and uncaught exceptions end the main thread without cleanup hooks, and the
  // libraries' destructors would pull the ground from under a job. Node's own 'exit' event comes
  // before them; std::atexit does not come before statics that libraries make on first use.
  void stop_on_exit(Napi::Env env);

  std::shared_ptr<Port> port() const { return port_; }
  // Of a device as users and models name it: "cpu", "cuda", "cuda:N". What is none of them is refused on the CPU's.
  EngineThread& engine(const std::string& device);
  // Something that a model waits for may have changed, whichever device it is on.
  void notify_engines();
  // Started when first asked for.
  SideThreads& side_threads() {
    if (!side_threads_) side_threads_ = SideThreads::shared();
    return *side_threads_;
  }
  // Of models: what takes the tokens of each step, and what is told whose pixels are wanted.
  using Callbacks = std::unordered_map<uint64_t, Napi::FunctionReference>;
  const std::shared_ptr<Callbacks> callbacks = std::make_shared<Callbacks>();
  Napi::FunctionReference model_constructor, trainer_constructor, group_constructor, detector_constructor;

  // Registers a job and keeps the event loop alive for it.
  uint64_t add(napi_env env, Job job);
  Job* find(uint64_t id);
  void resolve(napi_env env, uint64_t id, napi_value value);
  void reject(napi_env env, uint64_t id, const Error& error);
  // Takes a waiting job out of the queue and rejects it at once; a running one is told to stop.
  void cancel(napi_env env, uint64_t id);
  // Cancels every job of `owner`; they reject with kDisposed.
  void cancel_all_of(napi_env env, const void* owner);

 private:
  static void call_js(napi_env env, napi_value, void* context, void* data);
  static void close(void* self);
  void remove(napi_env env, uint64_t id);

  napi_env env_;
  std::shared_ptr<Port> port_;
  std::map<std::string, std::shared_ptr<EngineThread>> engines_;  // by device
  std::shared_ptr<SideThreads> side_threads_;
  std::unordered_map<uint64_t, Job> jobs_;
};

}  // namespace facellm

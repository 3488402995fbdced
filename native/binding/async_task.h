// The single way of running something on the engine thread: a promise and a cancel function in
// JavaScript, a function from plain data to plain data on the engine, a conversion back.
#pragma once

#include <napi.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "binding/env_state.h"
#include "binding/js_value.h"
#include "core/translate_exception.h"

namespace facellm {

// What a running task may use of its environment.
class TaskContext {
 public:
  TaskContext(std::shared_ptr<Port> port, uint64_t id, std::shared_ptr<Cancellation> cancellation)
      : port_(std::move(port)), id_(id), cancellation_(std::move(cancellation)) {}

  const Cancellation& cancellation() const { return *cancellation_; }

  // Calls the job's callback on the environment's thread with what `make_arguments` builds there. A
  // callback that throws stops the job, which then rejects with what was thrown.
  void emit(std::function<std::vector<napi_value>(napi_env)> make_arguments) const {
    port_->deliver([id = id_, make = std::move(make_arguments)](napi_env env, EnvState& state) {
      Job* job = state.find(id);
      if (job == nullptr || job->callback.IsEmpty() || !job->thrown.IsEmpty()) return;
      const auto arguments = make(env);
      napi_value function = nullptr;
      if (napi_get_reference_value(env, job->callback, &function) != napi_ok) return;
      const auto status = napi_call_function(env, js::undefined(env), function, arguments.size(),
                                             arguments.data(), nullptr);
      if (status != napi_pending_exception) return;
      napi_value thrown = nullptr;
      napi_get_and_clear_last_exception(env, &thrown);
      job = state.find(id);  // the callback may have settled it
      if (job == nullptr || thrown == nullptr) return;
      // References hold objects only; anything else thrown is reported as an uncaught exception.
      napi_valuetype type = napi_undefined;
      napi_typeof(env, thrown, &type);
      if (type == napi_object || type == napi_function) {
        job->thrown = Napi::Reference<Napi::Value>::New(Napi::Value(env, thrown), 1);
      } else {
        napi_fatal_exception(env, thrown);
      }
      job->cancellation->request();
    });
  }

 private:
  std::shared_ptr<Port> port_;
  uint64_t id_;
  std::shared_ptr<Cancellation> cancellation_;
};

// A wrap around `handle`, made inside a channel callback by raw calls. Null while going down.
template <typename Handle>
napi_value construct(napi_env env, napi_ref constructor_reference, std::shared_ptr<Handle>& handle) {
  napi_value constructor = nullptr, result = nullptr, argument = nullptr;
  if (napi_get_reference_value(env, constructor_reference, &constructor) != napi_ok) return nullptr;
  if (napi_create_external(env, &handle, nullptr, nullptr, &argument) != napi_ok) return nullptr;
  if (napi_new_instance(env, constructor, 1, &argument, &result) != napi_ok) return nullptr;
  return result;
}

// The handle that construct() passed. JavaScript's own `new` has none: a TypeError that says `made_by`.
template <typename Handle>
std::shared_ptr<Handle> constructed_with(const Napi::CallbackInfo& info, const char* made_by) {
  if (info.Length() != 1 || !info[0].IsExternal()) throw Napi::TypeError::New(info.Env(), made_by);
  return *info[0].As<Napi::External<std::shared_ptr<Handle>>>().Data();
}

inline EnvState& state_of(const Napi::CallbackInfo& info) {
  return *info.Env().GetInstanceData<EnvState>();
}

inline Napi::Function to_callback(Napi::Value value, const char* name) {
  if (!value.IsFunction()) {
    throw Error(ErrorCode::kInvalidArgument, std::string(name) + ": expected a function");
  }
  return value.As<Napi::Function>();
}

template <typename Result>
struct Task {
  std::function<Result(const TaskContext&)> run;                // engine thread, or a side thread; may throw
  std::function<napi_value(napi_env, EnvState&, Result&)> convert;  // environment's thread
  const void* owner = nullptr;
  Napi::Function callback = {};
  bool is_beside = false;      // runs on a side thread
  std::string device = "cpu";  // whose thread runs it, else
};

inline Napi::Object make_job(Napi::Env env, EnvState& state, uint64_t id, napi_value promise) {
  auto result = Napi::Object::New(env);
  result.Set("promise", Napi::Value(env, promise));
  result.Set("cancel", Napi::Function::New(
                           env, [&state, id](const Napi::CallbackInfo& info) { state.cancel(info.Env(), id); },
                           "cancel"));
  return result;
}

// A job that has already failed: bad arguments and disposed models reject, they do not throw.
inline Napi::Object failed_job(Napi::Env env, EnvState& state, const Error& error) {
  Job job;
  job.cancellation = std::make_shared<Cancellation>();
  napi_value promise = nullptr;
  napi_create_promise(env, &job.deferred, &promise);
  const uint64_t id = state.add(env, std::move(job));
  state.reject(env, id, error);
  return make_job(env, state, id, promise);
}

template <typename Result>
Napi::Object start_task(Napi::Env env, EnvState& state, Task<Result> task) {
  Job job;
  job.cancellation = std::make_shared<Cancellation>();
  job.owner = task.owner;
  auto* const engine = job.engine = task.is_beside ? nullptr : &state.engine(task.device);
  if (!task.callback.IsEmpty()) job.callback = Napi::Persistent(task.callback);
  napi_value promise = nullptr;
  napi_create_promise(env, &job.deferred, &promise);
  auto cancellation = job.cancellation;
  const uint64_t id = state.add(env, std::move(job));
  auto port = state.port();
  auto work = [port, id, cancellation = std::move(cancellation), run = std::move(task.run),
               convert = std::move(task.convert)] {
    if (!port->enter(cancellation)) return;
    std::shared_ptr<Result> result;
    std::optional<Error> error;
    try {
      cancellation->check();
      result = std::make_shared<Result>(run(TaskContext(port, id, cancellation)));
    } catch (...) {
      error = translate_current_exception();
    }
    port->deliver([=](napi_env js_env, EnvState& js_state) {
      if (error) {
        js_state.reject(js_env, id, *error);
      } else {
        js_state.resolve(js_env, id, convert(js_env, js_state, *result));
      }
    });
    port->leave(cancellation);
  };
  if (task.is_beside) {
    state.side_threads().post(std::move(work));
  } else {
    engine->post(id, std::move(work));
  }
  return make_job(env, state, id, promise);
}

// Starts the task that `make_task` gives; what it throws while reading arguments becomes a failed job.
template <typename MakeTask>
Napi::Value start_job(const Napi::CallbackInfo& info, MakeTask make_task) {
  auto& state = state_of(info);
  try {
    return start_task(info.Env(), state, make_task());
  } catch (const Napi::Error&) {
    throw;  // a getter of the caller's threw
  } catch (...) {
    return failed_job(info.Env(), state, translate_current_exception());
  }
}

}  // namespace facellm

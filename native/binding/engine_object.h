// A part of the engine behind a JavaScript object: what NativeModel and NativeTrainer share. `Self` is
// the class and says kMadeBy and kDisposed, what to tell whoever constructs or uses it wrongly.
#pragma once

#include <napi.h>

#include <memory>
#include <type_traits>
#include <utility>

#include "binding/async_task.h"
#include "binding/convert.h"
#include "binding/convert_training.h"
#include "binding/errors.h"

namespace facellm {

// A task whose result to_js() knows, undefined where `run` gives none.
template <typename Run>
auto make_task(Run run) {
  using Result = std::invoke_result_t<Run&, const TaskContext&>;
  if constexpr (std::is_void_v<Result>) {
    Task<bool> task;
    task.run = [run = std::move(run)](const TaskContext& context) { return run(context), true; };
    task.convert = [](napi_env env, EnvState&, bool&) { return js::undefined(env); };
    return task;
  } else {
    Task<Result> task;
    task.run = std::move(run);
    task.convert = [](napi_env env, EnvState&, Result& result) { return to_js(env, result); };
    return task;
  }
}

inline const ModelInfo& model_of(const ModelInfo& info) { return info; }
inline const ModelInfo& model_of(const TrainerInfo& info) { return info.model; }

template <typename Self, typename Engine>
class EngineObject : public Napi::ObjectWrap<Self> {
 public:
  // Raw: called when a load has ended, inside a channel callback. Null while going down.
  static napi_value create(napi_env env, const Napi::FunctionReference& constructor,
                           std::unique_ptr<Engine> engine) {
    auto handle = std::make_shared<Handle>();
    handle->info = engine->info();
    handle->engine = std::move(engine);
    return construct(env, constructor, handle);
  }

  explicit EngineObject(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<Self>(info), handle_(constructed_with<Handle>(info, Self::kMadeBy)) {
    // Host memory only: V8 should collect a forgotten model, but knows nothing of a GPU's.
    const auto& model = model_of(handle_->info);
    if (model.device == "cpu") external_bytes_ = model.parameter_bytes;
    Napi::MemoryManagement::AdjustExternalMemory(info.Env(), external_bytes_);
  }

  ~EngineObject() override {
    // Never disposed: jobs under way hold the handle; the last holder frees the weights.
    if (!is_disposed_) Napi::MemoryManagement::AdjustExternalMemory(this->Env(), -external_bytes_);
  }

 protected:
  // Shared with the jobs that use the engine; emptied on its thread by dispose().
  struct Handle {
    std::shared_ptr<Engine> engine;
    std::decay_t<decltype(std::declval<const Engine&>().info())> info;
  };

  static Error disposed() { return Error(ErrorCode::kDisposed, Self::kDisposed); }

  Napi::Value info(const Napi::CallbackInfo& info) {
    if (is_disposed_) throw Napi::Error(info.Env(), to_js_error(info.Env(), disposed()));
    return {info.Env(), to_js(info.Env(), handle_->info)};
  }

  Napi::Value dispose(const Napi::CallbackInfo& info) {
    auto& state = state_of(info);
    if (!is_disposed_) {
      is_disposed_ = true;
      Napi::MemoryManagement::AdjustExternalMemory(info.Env(), -external_bytes_);
      state.cancel_all_of(info.Env(), handle_.get());
    }
    // Queued behind the job under way, which stops within a step; a second call just waits its turn.
    auto task = make_task([handle = handle_](const TaskContext&) { handle->engine.reset(); });
    task.device = model_of(handle_->info).device;
    return start_task(info.Env(), state, std::move(task));
  }

  // Runs what `make_work` gives, a function of (Engine&, const TaskContext&), on the device's engine thread. A
  // disposed object, and what `make_work` throws while it reads the arguments, become a failed job.
  // `callback`: the name of the second argument, a function for TaskContext::emit().
  template <typename MakeWork>
  Napi::Value start(const Napi::CallbackInfo& info, MakeWork make_work, const char* callback = nullptr) {
    return start_job(info, [&] {
      if (is_disposed_) throw disposed();
      const auto function = callback == nullptr ? Napi::Function() : to_callback(info[1], callback);
      auto task = make_task([handle = handle_, work = make_work()](const TaskContext& context) {
        return work(*handle->engine, context);
      });
      task.owner = handle_.get();
      task.device = model_of(handle_->info).device;
      task.callback = function;
      return task;
    });
  }

  bool is_disposed() const { return is_disposed_; }
  const std::shared_ptr<Handle>& handle() const { return handle_; }

 private:
  std::shared_ptr<Handle> handle_;
  int64_t external_bytes_ = 0;  // told to the garbage collector
  bool is_disposed_ = false;
};

}  // namespace facellm

#include "binding/trainer_wrap.h"

#include "binding/convert_training.h"
#include "binding/errors.h"

namespace facellm {

void TrainerWrap::define(Napi::Env env, EnvState& state) {
  const auto constructor = DefineClass(
      env, "NativeTrainer",
      {InstanceMethod<&TrainerWrap::info>("info"),
       InstanceMethod<&TrainerWrap::accumulate>("accumulate"),
       InstanceMethod<&TrainerWrap::evaluate>("evaluate"),
       InstanceMethod<&TrainerWrap::update>("update"),
       InstanceMethod<&TrainerWrap::gradient_norms>("gradientNorms"),
       InstanceMethod<&TrainerWrap::synchronise>("synchronise"),
       InstanceMethod<&TrainerWrap::save_adapter>("saveAdapter"),
       InstanceMethod<&TrainerWrap::save_weights>("saveWeights"),
       InstanceMethod<&TrainerWrap::save_state>("saveState"),
       InstanceMethod<&TrainerWrap::restore_state>("restoreState"),
       InstanceMethod<&TrainerWrap::dispose>("dispose")});
  state.trainer_constructor = Napi::Persistent(constructor);
}

napi_value TrainerWrap::create(napi_env env, EnvState& state, std::unique_ptr<Trainer> trainer) {
  auto handle = std::make_shared<TrainerHandle>();
  handle->info = trainer->info();
  handle->trainer = std::move(trainer);
  return construct(env, state.trainer_constructor, handle);
}

TrainerWrap::TrainerWrap(const Napi::CallbackInfo& info) : Napi::ObjectWrap<TrainerWrap>(info) {
  if (info.Length() != 1 || !info[0].IsExternal()) {
    throw Napi::TypeError::New(info.Env(), "NativeTrainer is made by createTrainer()");
  }
  handle_ = *info[0].As<Napi::External<std::shared_ptr<TrainerHandle>>>().Data();
  const auto& model = handle_->info.model;
  if (model.device == "cpu") external_bytes_ = model.parameter_bytes;
  Napi::MemoryManagement::AdjustExternalMemory(info.Env(), external_bytes_);
}

TrainerWrap::~TrainerWrap() {
  if (!is_disposed_) Napi::MemoryManagement::AdjustExternalMemory(Env(), -external_bytes_);
}

template <typename Start>
Napi::Value TrainerWrap::begin(const Napi::CallbackInfo& info, Start start) {
  auto& state = *info.Env().GetInstanceData<EnvState>();
  try {
    if (is_disposed_) throw Error(ErrorCode::kDisposed, "the trainer has been disposed");
    return start(info.Env(), state);
  } catch (const Napi::Error&) {
    throw;
  } catch (...) {
    return failed_job(info.Env(), state, translate_current_exception());
  }
}

Napi::Value TrainerWrap::info(const Napi::CallbackInfo& info) {
  if (is_disposed_) {
    throw Napi::Error(info.Env(), to_js_error(info.Env(), Error(ErrorCode::kDisposed,
                                                                "the trainer has been disposed")));
  }
  return {info.Env(), to_js(info.Env(), handle_->info)};
}

Napi::Value TrainerWrap::accumulate(const Napi::CallbackInfo& info) {
  return begin(info, [&](Napi::Env env, EnvState& state) -> Napi::Value {
    auto batch = std::make_shared<MicroBatch>(to_micro_batch(info[0]));
    Task<MicroResult> task;
    task.run = [handle = handle_, batch](const TaskContext& context) {
      return handle->trainer->accumulate(*batch, context.cancellation());
    };
    task.convert = [](napi_env js_env, EnvState&, MicroResult& r) { return to_js(js_env, r); };
    task.owner = handle_.get();
    return start_task(env, state, std::move(task));
  });
}

Napi::Value TrainerWrap::evaluate(const Napi::CallbackInfo& info) {
  return begin(info, [&](Napi::Env env, EnvState& state) -> Napi::Value {
    auto batch = std::make_shared<MicroBatch>(to_micro_batch(info[0]));
    Task<MicroResult> task;
    task.run = [handle = handle_, batch](const TaskContext& context) {
      return handle->trainer->evaluate(*batch, context.cancellation());
    };
    task.convert = [](napi_env js_env, EnvState&, MicroResult& r) { return to_js(js_env, r); };
    task.owner = handle_.get();
    return start_task(env, state, std::move(task));
  });
}

Napi::Value TrainerWrap::update(const Napi::CallbackInfo& info) {
  return begin(info, [&](Napi::Env env, EnvState& state) -> Napi::Value {
    Task<UpdateResult> task;
    task.run = [handle = handle_, request = to_update_request(info[0])](const TaskContext& context) {
      return handle->trainer->update(request, context.cancellation());
    };
    task.convert = [](napi_env js_env, EnvState&, UpdateResult& r) { return to_js(js_env, r); };
    task.owner = handle_.get();
    return start_task(env, state, std::move(task));
  });
}

Napi::Value TrainerWrap::gradient_norms(const Napi::CallbackInfo& info) {
  return begin(info, [&](Napi::Env env, EnvState& state) -> Napi::Value {
    Task<NamedNorms> task;
    task.run = [handle = handle_](const TaskContext& context) {
      return handle->trainer->gradient_norms(context.cancellation());
    };
    task.convert = [](napi_env js_env, EnvState&, NamedNorms& norms) { return to_js(js_env, norms); };
    task.owner = handle_.get();
    return start_task(env, state, std::move(task));
  });
}

Napi::Value TrainerWrap::write(const Napi::CallbackInfo& info,
                               void (Trainer::*save)(const std::string&) const) {
  return begin(info, [&](Napi::Env env, EnvState& state) -> Napi::Value {
    Task<bool> task;
    task.run = [handle = handle_, save, file = to_path(info[0])](const TaskContext&) {
      (handle->trainer.get()->*save)(file);
      return true;
    };
    task.convert = [](napi_env js_env, EnvState&, bool&) { return js::undefined(js_env); };
    task.owner = handle_.get();
    return start_task(env, state, std::move(task));
  });
}

Napi::Value TrainerWrap::save_adapter(const Napi::CallbackInfo& info) {
  return write(info, &Trainer::save_adapter);
}

Napi::Value TrainerWrap::save_weights(const Napi::CallbackInfo& info) {
  return write(info, &Trainer::save_weights);
}

Napi::Value TrainerWrap::save_state(const Napi::CallbackInfo& info) {
  return write(info, &Trainer::save_state);
}

Napi::Value TrainerWrap::restore_state(const Napi::CallbackInfo& info) {
  return begin(info, [&](Napi::Env env, EnvState& state) -> Napi::Value {
    Task<bool> task;
    task.run = [handle = handle_, file = to_path(info[0]),
                count = to_update_count(info[1])](const TaskContext&) {
      handle->trainer->restore_state(file, count);
      return true;
    };
    task.convert = [](napi_env js_env, EnvState&, bool&) { return js::undefined(js_env); };
    task.owner = handle_.get();
    return start_task(env, state, std::move(task));
  });
}

Napi::Value TrainerWrap::synchronise(const Napi::CallbackInfo& info) {
  return begin(info, [&](Napi::Env env, EnvState& state) -> Napi::Value {
    Task<bool> task;
    task.run = [handle = handle_, count = to_update_count(info[0])](const TaskContext& context) {
      handle->trainer->synchronise(count, context.cancellation());
      return true;
    };
    task.convert = [](napi_env js_env, EnvState&, bool&) { return js::undefined(js_env); };
    task.owner = handle_.get();
    return start_task(env, state, std::move(task));
  });
}

Napi::Value TrainerWrap::dispose(const Napi::CallbackInfo& info) {
  auto& state = *info.Env().GetInstanceData<EnvState>();
  if (!is_disposed_) {
    is_disposed_ = true;
    Napi::MemoryManagement::AdjustExternalMemory(info.Env(), -external_bytes_);
    state.cancel_all_of(info.Env(), handle_.get());
  }
  Task<bool> task;
  task.run = [handle = handle_](const TaskContext&) {
    handle->trainer.reset();
    return true;
  };
  task.convert = [](napi_env js_env, EnvState&, bool&) { return js::undefined(js_env); };
  return start_task(info.Env(), state, std::move(task));
}

}  // namespace facellm

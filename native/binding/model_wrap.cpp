#include "binding/model_wrap.h"

#include "binding/convert.h"
#include "binding/errors.h"

namespace facellm {

void ModelWrap::define(Napi::Env env, EnvState& state) {
  const auto constructor = DefineClass(
      env, "NativeModel",
      {InstanceMethod<&ModelWrap::info>("info"), InstanceMethod<&ModelWrap::generate>("generate"),
       InstanceMethod<&ModelWrap::choose>("choose"),
       InstanceMethod<&ModelWrap::embed_images>("embedImages"),
       InstanceMethod<&ModelWrap::trace>("trace"),
       InstanceMethod<&ModelWrap::load_adapter>("loadAdapter"),
       InstanceMethod<&ModelWrap::unload_adapter>("unloadAdapter"),
       InstanceMethod<&ModelWrap::clear_caches>("clearCaches"),
       InstanceMethod<&ModelWrap::dispose>("dispose")});
  state.model_constructor = Napi::Persistent(constructor);
}

napi_value ModelWrap::create(napi_env env, EnvState& state, std::unique_ptr<FaceLlm> model) {
  auto handle = std::make_shared<ModelHandle>();
  handle->info = model->info();
  handle->model = std::move(model);
  return construct(env, state.model_constructor, handle);
}

ModelWrap::ModelWrap(const Napi::CallbackInfo& info) : Napi::ObjectWrap<ModelWrap>(info) {
  if (info.Length() != 1 || !info[0].IsExternal()) {
    throw Napi::TypeError::New(info.Env(), "NativeModel is made by loadModel()");
  }
  handle_ = *info[0].As<Napi::External<std::shared_ptr<ModelHandle>>>().Data();
  // Host memory only: V8 should collect a forgotten model, but knows nothing of a GPU's.
  if (handle_->info.device == "cpu") external_bytes_ = handle_->info.parameter_bytes;
  Napi::MemoryManagement::AdjustExternalMemory(info.Env(), external_bytes_);
}

ModelWrap::~ModelWrap() {
  // Never disposed: jobs under way hold the handle; the last holder frees the weights.
  if (!is_disposed_) Napi::MemoryManagement::AdjustExternalMemory(Env(), -external_bytes_);
}

template <typename Start>
Napi::Value ModelWrap::begin(const Napi::CallbackInfo& info, Start start) {
  auto& state = *info.Env().GetInstanceData<EnvState>();
  try {
    if (is_disposed_) throw Error(ErrorCode::kDisposed, "the model has been disposed; load it again");
    return start(info.Env(), state);
  } catch (const Napi::Error&) {
    throw;  // a getter of the caller's threw
  } catch (...) {
    return failed_job(info.Env(), state, translate_current_exception());
  }
}

Napi::Value ModelWrap::info(const Napi::CallbackInfo& info) {
  if (is_disposed_) {
    throw Napi::Error(info.Env(), to_js_error(info.Env(), Error(ErrorCode::kDisposed,
                                                                "the model has been disposed")));
  }
  return {info.Env(), to_js(info.Env(), handle_->info)};
}

Napi::Value ModelWrap::generate(const Napi::CallbackInfo& info) {
  return begin(info, [&](Napi::Env env, EnvState& state) -> Napi::Value {
    if (!info[1].IsFunction()) {
      throw Error(ErrorCode::kInvalidArgument, "onTokens: expected a function");
    }
    auto request = std::make_shared<GenerateRequest>(to_generate_request(info[0]));
    Task<GenerateResult> task;
    task.run = [handle = handle_, request](const TaskContext& context) {
      const TokenSink sink = [&](std::span<const TokenEvent> events) {
        context.emit([batch = std::vector<TokenEvent>(events.begin(), events.end())](napi_env js_env) {
          return std::vector<napi_value>{to_js(js_env, batch)};
        });
      };
      return handle->model->generate(*request, sink, context.cancellation());
    };
    task.convert = [](napi_env js_env, EnvState&, GenerateResult& r) { return to_js(js_env, r); };
    task.owner = handle_.get();
    task.callback = info[1].As<Napi::Function>();
    return start_task(env, state, std::move(task));
  });
}

Napi::Value ModelWrap::choose(const Napi::CallbackInfo& info) {
  return begin(info, [&](Napi::Env env, EnvState& state) -> Napi::Value {
    auto request = std::make_shared<ChooseRequest>(to_choose_request(info[0]));
    Task<ChooseResult> task;
    task.run = [handle = handle_, request](const TaskContext& context) {
      return handle->model->choose(*request, context.cancellation());
    };
    task.convert = [](napi_env js_env, EnvState&, ChooseResult& r) { return to_js(js_env, r); };
    task.owner = handle_.get();
    return start_task(env, state, std::move(task));
  });
}

Napi::Value ModelWrap::embed_images(const Napi::CallbackInfo& info) {
  return begin(info, [&](Napi::Env env, EnvState& state) -> Napi::Value {
    Task<std::vector<HostTensor>> task;
    task.run = [handle = handle_, images = to_images(info[0]),
                adapters = to_adapter_ids(info[1])](const TaskContext& context) {
      return handle->model->embed_images(images, adapters, context.cancellation());
    };
    task.convert = [](napi_env js_env, EnvState&, auto& tensors) { return to_js(js_env, tensors); };
    task.owner = handle_.get();
    return start_task(env, state, std::move(task));
  });
}

Napi::Value ModelWrap::trace(const Napi::CallbackInfo& info) {
  return begin(info, [&](Napi::Env env, EnvState& state) -> Napi::Value {
    Task<std::vector<HostTensor>> task;
    task.run = [handle = handle_, prompt = to_prompt(info[0]),
                adapters = to_adapter_ids(info[1])](const TaskContext& context) {
      return handle->model->trace(prompt, adapters, context.cancellation());
    };
    task.convert = [](napi_env js_env, EnvState&, auto& tensors) { return to_js(js_env, tensors); };
    task.owner = handle_.get();
    return start_task(env, state, std::move(task));
  });
}

Napi::Value ModelWrap::load_adapter(const Napi::CallbackInfo& info) {
  return begin(info, [&](Napi::Env env, EnvState& state) -> Napi::Value {
    Task<AdapterInfo> task;
    task.run = [handle = handle_, source = to_adapter_source(info[0])](const TaskContext&) {
      return handle->model->load_adapter(source);
    };
    task.convert = [](napi_env js_env, EnvState&, AdapterInfo& r) { return to_js(js_env, r); };
    task.owner = handle_.get();
    return start_task(env, state, std::move(task));
  });
}

Napi::Value ModelWrap::unload_adapter(const Napi::CallbackInfo& info) {
  return begin(info, [&](Napi::Env env, EnvState& state) -> Napi::Value {
    const auto id = info[0].IsNumber() ? info[0].As<Napi::Number>().Int64Value() : 0;
    if (id < 1) throw Error(ErrorCode::kInvalidArgument, "id: expected the number of an adapter");
    Task<bool> task;
    task.run = [handle = handle_, id](const TaskContext&) {
      handle->model->unload_adapter(id);
      return true;
    };
    task.convert = [](napi_env js_env, EnvState&, bool&) { return js::undefined(js_env); };
    task.owner = handle_.get();
    return start_task(env, state, std::move(task));
  });
}

Napi::Value ModelWrap::clear_caches(const Napi::CallbackInfo& info) {
  return begin(info, [&](Napi::Env env, EnvState& state) -> Napi::Value {
    Task<bool> task;
    task.run = [handle = handle_](const TaskContext&) {
      handle->model->clear_caches();
      return true;
    };
    task.convert = [](napi_env js_env, EnvState&, bool&) { return js::undefined(js_env); };
    task.owner = handle_.get();
    return start_task(env, state, std::move(task));
  });
}

Napi::Value ModelWrap::dispose(const Napi::CallbackInfo& info) {
  auto& state = *info.Env().GetInstanceData<EnvState>();
  if (!is_disposed_) {
    is_disposed_ = true;
    Napi::MemoryManagement::AdjustExternalMemory(info.Env(), -external_bytes_);
    state.cancel_all_of(info.Env(), handle_.get());
  }
  // Queued behind the job under way, which stops within a step; a second call just waits its turn.
  Task<bool> task;
  task.run = [handle = handle_](const TaskContext&) {
    handle->model.reset();
    return true;
  };
  task.convert = [](napi_env js_env, EnvState&, bool&) { return js::undefined(js_env); };
  return start_task(info.Env(), state, std::move(task));
}

}  // namespace facellm

#include "binding/model_wrap.h"

namespace facellm {

void ModelWrap::define(Napi::Env env, EnvState& state) {
  const auto constructor = DefineClass(
      env, "NativeModel",
      {InstanceMethod("info", &ModelWrap::info), InstanceMethod<&ModelWrap::generate>("generate"),
       InstanceMethod<&ModelWrap::choose>("choose"),
       InstanceMethod<&ModelWrap::embed_images>("embedImages"),
       InstanceMethod<&ModelWrap::trace>("trace"),
       InstanceMethod<&ModelWrap::load_adapter>("loadAdapter"),
       InstanceMethod<&ModelWrap::unload_adapter>("unloadAdapter"),
       InstanceMethod<&ModelWrap::clear_caches>("clearCaches"),
       InstanceMethod("dispose", &ModelWrap::dispose)});
  state.model_constructor = Napi::Persistent(constructor);
}

Napi::Value ModelWrap::generate(const Napi::CallbackInfo& info) {
  const auto make_work = [&] {
    return [request = to_generate_request(info[0])](FaceLlm& model, const TaskContext& context) {
      const TokenSink sink = [&](std::span<const TokenEvent> events) {
        context.emit([batch = std::vector<TokenEvent>(events.begin(), events.end())](napi_env env) {
          return std::vector<napi_value>{to_js(env, batch)};
        });
      };
      return model.generate(request, sink, context.cancellation());
    };
  };
  return start(info, make_work, "onTokens");
}

Napi::Value ModelWrap::choose(const Napi::CallbackInfo& info) {
  return start(info, [&] {
    return [request = to_choose_request(info[0])](FaceLlm& model, const TaskContext& context) {
      return model.choose(request, context.cancellation());
    };
  });
}

Napi::Value ModelWrap::embed_images(const Napi::CallbackInfo& info) {
  return start(info, [&] {
    return [images = to_images(info[0]), adapters = to_adapter_ids(info[1])](
               FaceLlm& model, const TaskContext& context) {
      return model.embed_images(images, adapters, context.cancellation());
    };
  });
}

Napi::Value ModelWrap::trace(const Napi::CallbackInfo& info) {
  return start(info, [&] {
    return [prompt = to_prompt(info[0]), adapters = to_adapter_ids(info[1])](
               FaceLlm& model, const TaskContext& context) {
      return model.trace(prompt, adapters, context.cancellation());
    };
  });
}

Napi::Value ModelWrap::load_adapter(const Napi::CallbackInfo& info) {
  return start(info, [&] {
    return [source = to_adapter_source(info[0])](FaceLlm& model, const TaskContext&) {
      return model.load_adapter(source);
    };
  });
}

Napi::Value ModelWrap::unload_adapter(const Napi::CallbackInfo& info) {
  return start(info, [&] {
    const auto id = info[0].IsNumber() ? info[0].As<Napi::Number>().Int64Value() : 0;
    if (id < 1) throw Error(ErrorCode::kInvalidArgument, "id: expected the number of an adapter");
    return [id](FaceLlm& model, const TaskContext&) { model.unload_adapter(id); };
  });
}

Napi::Value ModelWrap::clear_caches(const Napi::CallbackInfo& info) {
  return start(info, [] {
    return [](FaceLlm& model, const TaskContext&) { model.clear_caches(); };
  });
}

}  // namespace facellm

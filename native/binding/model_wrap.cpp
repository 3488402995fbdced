#include "binding/model_wrap.h"

#include <atomic>

#include "binding/object_reader.h"
#include "core/translate_exception.h"
#include "image/pixel_store.h"

namespace facellm {

void ModelWrap::define(Napi::Env env, EnvState& state) {
  const auto constructor = DefineClass(
      env, "NativeModel",
      {InstanceMethod("info", &ModelWrap::info), InstanceMethod<&ModelWrap::generate>("generate"),
       InstanceMethod<&ModelWrap::choose>("choose"),
       InstanceMethod<&ModelWrap::embed_images>("embedImages"),
       InstanceMethod<&ModelWrap::on_tokens>("onTokens"),
       InstanceMethod<&ModelWrap::on_pixels_wanted>("onPixelsWanted"),
       InstanceMethod<&ModelWrap::give_pixels>("givePixels"),
       InstanceMethod<&ModelWrap::stats>("stats"),
       InstanceMethod<&ModelWrap::trace>("trace"),
       InstanceMethod<&ModelWrap::last_logits>("lastLogits"),
       InstanceMethod<&ModelWrap::load_adapter>("loadAdapter"),
       InstanceMethod<&ModelWrap::unload_adapter>("unloadAdapter"),
       InstanceMethod<&ModelWrap::clear_caches>("clearCaches"),
       InstanceMethod("dispose", &ModelWrap::dispose)});
  state.model_constructor = Napi::Persistent(constructor);
}

ModelWrap::ModelWrap(const Napi::CallbackInfo& info) : EngineObject(info) {
  static std::atomic<uint64_t> next{1};
  auto& state = state_of(info);
  keys_ = {next++, next++};
  callbacks_ = state.callbacks;
  client_ = std::make_shared<JsStepClient>(state.port(), keys_);
}

ModelWrap::~ModelWrap() {
  const auto callbacks = callbacks_.lock();
  if (!callbacks) return;
  callbacks->erase(keys_.tokens);
  callbacks->erase(keys_.pixels);
}

Napi::Value ModelWrap::set_callback(const Napi::CallbackInfo& info, uint64_t key) {
  if (!info[0].IsFunction()) throw Napi::TypeError::New(info.Env(), "callback: expected a function");
  (*state_of(info).callbacks)[key] = Napi::Persistent(info[0].As<Napi::Function>());
  return info.Env().Undefined();
}

Napi::Value ModelWrap::on_tokens(const Napi::CallbackInfo& info) { return set_callback(info, keys_.tokens); }

Napi::Value ModelWrap::on_pixels_wanted(const Napi::CallbackInfo& info) { return set_callback(info, keys_.pixels); }

Napi::Value ModelWrap::give_pixels(const Napi::CallbackInfo& info) {
  return start(info, [&] {
    std::vector<std::string> problems;
    const bool are_numbers = info[0].IsNumber() && info[1].IsNumber();
    if (!are_numbers) problems.push_back("request, image: expected two numbers");
    const auto request = are_numbers ? info[0].As<Napi::Number>().Int64Value() : 0;
    const auto image = are_numbers ? info[1].As<Napi::Number>().Uint32Value() : 0;
    const auto rgb = copy_pixels(
        ObjectReader::view_typed_array<uint8_t>(info[2], napi_uint8_array, "rgb", "a Uint8Array", problems));
    finish("givePixels", std::move(problems));
    return [=](FaceLlm& model, const TaskContext&) {
      model.give_pixels(static_cast<RequestId>(request), image, rgb);
    };
  });
}

template <typename Result, typename MakeRequest>
Napi::Value ModelWrap::submit(const Napi::CallbackInfo& info, MakeRequest make_request) {
  auto& state = state_of(info);
  try {
    if (is_disposed()) throw Error(ErrorCode::kDisposed, kDisposed);
    return start_request<Result>(info.Env(), state, client_, handle(), make_request());
  } catch (const Napi::Error&) {
    throw;  // a getter of the caller's threw
  } catch (...) {
    auto job = failed_job(info.Env(), state, translate_current_exception());
    job.Set("id", Napi::Number::New(info.Env(), 0));
    if constexpr (std::is_same_v<Result, GenerateResult>) {
      add_row_control(info.Env(), state, job, std::make_shared<RowControl>());
    }
    return job;
  }
}

Napi::Value ModelWrap::generate(const Napi::CallbackInfo& info) {
  return submit<GenerateResult>(info, [&] { return to_generate_request(info[0]); });
}

Napi::Value ModelWrap::choose(const Napi::CallbackInfo& info) {
  return submit<ChooseResult>(info, [&] { return to_choose_request(info[0]); });
}

Napi::Value ModelWrap::embed_images(const Napi::CallbackInfo& info) {
  return submit<std::vector<HostTensor>>(
      info, [&] { return EmbedRequest{to_images(info[0]), to_adapter_ids(info[1])}; });
}

Napi::Value ModelWrap::stats(const Napi::CallbackInfo& info) {
  return start(info, [] {
    return [](FaceLlm& model, const TaskContext&) { return model.stats(); };
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

Napi::Value ModelWrap::last_logits(const Napi::CallbackInfo& info) {
  return start(info, [&] {
    const auto count = info[2].IsNumber() ? info[2].As<Napi::Number>().Int64Value() : 0;
    return [prompt = to_prompt(info[0]), adapters = to_adapter_ids(info[1]), count](
               FaceLlm& model, const TaskContext& context) {
      return model.last_logits(prompt, adapters, count, context.cancellation());
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

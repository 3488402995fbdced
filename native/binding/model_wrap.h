// NativeModel of lib/binding/native.ts.
//   info()                       [sync]   throws FACELLM_DISPOSED
//   generate(request, onTokens)  [async]  streams token batches
//   choose(request), embedImages(images, adapters), trace(prompt, adapters)  [async]
//   loadAdapter(source), unloadAdapter(id), clearCaches()  [async]
//   dispose()                    [async]  idempotent
#pragma once

#include <napi.h>

#include "binding/engine_object.h"
#include "generation/face_llm.h"

namespace facellm {

class ModelWrap : public EngineObject<ModelWrap, FaceLlm> {
 public:
  static constexpr auto kMadeBy = "NativeModel is made by loadModel()";
  static constexpr auto kDisposed = "the model has been disposed; load it again";
  static void define(Napi::Env env, EnvState& state);
  using EngineObject::EngineObject;

 private:
  Napi::Value generate(const Napi::CallbackInfo& info);
  Napi::Value choose(const Napi::CallbackInfo& info);
  Napi::Value embed_images(const Napi::CallbackInfo& info);
  Napi::Value trace(const Napi::CallbackInfo& info);
  Napi::Value load_adapter(const Napi::CallbackInfo& info);
  Napi::Value unload_adapter(const Napi::CallbackInfo& info);
  Napi::Value clear_caches(const Napi::CallbackInfo& info);
};

}  // namespace facellm

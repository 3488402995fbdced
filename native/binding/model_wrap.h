// NativeModel of lib/binding/native.ts.
//   info()                       [sync]   throws FACELLM_DISPOSED
//   onTokens(callback)           [sync]   takes the tokens of all its requests, one call a step
//   onPixelsWanted(callback)     [sync]   takes the number of a request, and of its image
//   givePixels(request, image, rgb)  [async]
//   generate(request), choose(request), embedImages(images, adapters)  [async]  through the engine's loop
//   stats(), trace(prompt, adapters), lastLogits(prompt, adapters, count)  [async]
//   loadAdapter(source), unloadAdapter(id), clearCaches()  [async]
//   dispose()                    [async]  idempotent
#pragma once

#include <napi.h>

#include "binding/engine_object.h"
#include "binding/step_request.h"
#include "generation/face_llm.h"

namespace facellm {

class ModelWrap : public EngineObject<ModelWrap, FaceLlm> {
 public:
  static constexpr auto kMadeBy = "NativeModel is made by loadModel()";
  static constexpr auto kDisposed = "the model has been disposed; load it again";
  static void define(Napi::Env env, EnvState& state);
  explicit ModelWrap(const Napi::CallbackInfo& info);
  ~ModelWrap() override;

 private:
  template <typename Result, typename MakeRequest>
  Napi::Value submit(const Napi::CallbackInfo& info, MakeRequest make_request);
  Napi::Value on_tokens(const Napi::CallbackInfo& info);
  Napi::Value on_pixels_wanted(const Napi::CallbackInfo& info);
  Napi::Value set_callback(const Napi::CallbackInfo& info, uint64_t key);
  Napi::Value give_pixels(const Napi::CallbackInfo& info);
  Napi::Value stats(const Napi::CallbackInfo& info);
  Napi::Value generate(const Napi::CallbackInfo& info);
  Napi::Value choose(const Napi::CallbackInfo& info);
  Napi::Value embed_images(const Napi::CallbackInfo& info);
  Napi::Value trace(const Napi::CallbackInfo& info);
  Napi::Value last_logits(const Napi::CallbackInfo& info);
  Napi::Value load_adapter(const Napi::CallbackInfo& info);
  Napi::Value unload_adapter(const Napi::CallbackInfo& info);
  Napi::Value clear_caches(const Napi::CallbackInfo& info);

  std::shared_ptr<StepClient> client_;
  ClientCallbacks keys_{};
  std::weak_ptr<EnvState::Callbacks> callbacks_;
};

}  // namespace facellm

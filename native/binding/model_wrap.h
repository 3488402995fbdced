// NativeModel of lib/binding/native.ts.
//   info()                       [sync]   throws FACELLM_DISPOSED
//   generate(request, onTokens)  [async]  streams token batches
//   choose(request), embedImages(images, adapters), trace(prompt, adapters)  [async]
//   loadAdapter(source), unloadAdapter(id), clearCaches()  [async]
//   dispose()                    [async]  idempotent
#pragma once

#include <napi.h>

#include <memory>

#include "binding/async_task.h"
#include "generation/face_llm.h"

namespace facellm {

// Shared with the jobs that use the model; emptied on the engine thread by dispose().
struct ModelHandle {
  std::unique_ptr<FaceLlm> model;
  ModelInfo info;
};

class ModelWrap : public Napi::ObjectWrap<ModelWrap> {
 public:
  static void define(Napi::Env env, EnvState& state);
  // Raw: called when a load has ended, inside a channel callback. Null while going down.
  static napi_value create(napi_env env, EnvState& state, std::unique_ptr<FaceLlm> model);

  explicit ModelWrap(const Napi::CallbackInfo& info);
  ~ModelWrap() override;

 private:
  Napi::Value info(const Napi::CallbackInfo& info);
  Napi::Value generate(const Napi::CallbackInfo& info);
  Napi::Value choose(const Napi::CallbackInfo& info);
  Napi::Value embed_images(const Napi::CallbackInfo& info);
  Napi::Value trace(const Napi::CallbackInfo& info);
  Napi::Value load_adapter(const Napi::CallbackInfo& info);
  Napi::Value unload_adapter(const Napi::CallbackInfo& info);
  Napi::Value clear_caches(const Napi::CallbackInfo& info);
  Napi::Value dispose(const Napi::CallbackInfo& info);

  // Runs `start`; what it throws while reading arguments, and a disposed model, become a failed job.
  template <typename Start>
  Napi::Value begin(const Napi::CallbackInfo& info, Start start);

  std::shared_ptr<ModelHandle> handle_;
  int64_t external_bytes_ = 0;  // told to the garbage collector
  bool is_disposed_ = false;
};

}  // namespace facellm

// NativeTrainer of lib/binding/native.ts.
//   info()                                      [sync]   throws FACELLM_DISPOSED
//   accumulate(batch), evaluate(batch), update(request), gradientNorms(), synchronise(updates)   [async]
//   saveAdapter(file), saveWeights(file), saveState(file), restoreState(file, updates)   [async]
//   dispose()                                   [async]  idempotent
#pragma once

#include <napi.h>

#include <memory>

#include "binding/async_task.h"
#include "training/trainer.h"

namespace facellm {

// Shared with the jobs that use the trainer; emptied on the engine thread by dispose().
struct TrainerHandle {
  std::unique_ptr<Trainer> trainer;
  TrainerInfo info;
};

class TrainerWrap : public Napi::ObjectWrap<TrainerWrap> {
 public:
  static void define(Napi::Env env, EnvState& state);
  static napi_value create(napi_env env, EnvState& state, std::unique_ptr<Trainer> trainer);

  explicit TrainerWrap(const Napi::CallbackInfo& info);
  ~TrainerWrap() override;

 private:
  Napi::Value info(const Napi::CallbackInfo& info);
  Napi::Value accumulate(const Napi::CallbackInfo& info);
  Napi::Value evaluate(const Napi::CallbackInfo& info);
  Napi::Value update(const Napi::CallbackInfo& info);
  Napi::Value gradient_norms(const Napi::CallbackInfo& info);
  Napi::Value save_adapter(const Napi::CallbackInfo& info);
  Napi::Value save_weights(const Napi::CallbackInfo& info);
  Napi::Value save_state(const Napi::CallbackInfo& info);
  Napi::Value restore_state(const Napi::CallbackInfo& info);
  Napi::Value synchronise(const Napi::CallbackInfo& info);
  Napi::Value dispose(const Napi::CallbackInfo& info);

  template <typename Start>
  Napi::Value begin(const Napi::CallbackInfo& info, Start start);
  // A task that writes one file.
  Napi::Value write(const Napi::CallbackInfo& info, void (Trainer::*save)(const std::string&) const);

  std::shared_ptr<TrainerHandle> handle_;
  int64_t external_bytes_ = 0;
  bool is_disposed_ = false;
};

}  // namespace facellm

// NativeTrainer of lib/binding/native.ts.
//   info()                                      [sync]   throws FACELLM_DISPOSED
//   accumulate(batch), evaluate(batch), update(request), gradientNorms(), synchronise(updates)   [async]
//   saveAdapter(file), saveWeights(file), saveState(file), restoreState(file, updates)   [async]
//   dispose()                                   [async]  idempotent
#pragma once

#include <napi.h>

#include <string>

#include "binding/engine_object.h"
#include "training/trainer.h"

namespace facellm {

class TrainerWrap : public EngineObject<TrainerWrap, Trainer> {
 public:
  static constexpr auto kMadeBy = "NativeTrainer is made by createTrainer()";
  static constexpr auto kDisposed = "the trainer has been disposed; create it again";
  static void define(Napi::Env env, EnvState& state);
  using EngineObject::EngineObject;

 private:
  Napi::Value accumulate(const Napi::CallbackInfo& info);
  Napi::Value evaluate(const Napi::CallbackInfo& info);
  Napi::Value update(const Napi::CallbackInfo& info);
  Napi::Value gradient_norms(const Napi::CallbackInfo& info);
  Napi::Value save_adapter(const Napi::CallbackInfo& info);
  Napi::Value save_weights(const Napi::CallbackInfo& info);
  Napi::Value save_state(const Napi::CallbackInfo& info);
  Napi::Value restore_state(const Napi::CallbackInfo& info);
  Napi::Value synchronise(const Napi::CallbackInfo& info);

  // A task that writes one file.
  Napi::Value write(const Napi::CallbackInfo& info, void (Trainer::*save)(const std::string&) const);
};

}  // namespace facellm

#include "binding/trainer_wrap.h"

namespace facellm {

void TrainerWrap::define(Napi::Env env, EnvState& state) {
  const auto constructor = DefineClass(
      env, "NativeTrainer",
      {InstanceMethod("info", &TrainerWrap::info),
       InstanceMethod<&TrainerWrap::accumulate>("accumulate"),
       InstanceMethod<&TrainerWrap::evaluate>("evaluate"),
       InstanceMethod<&TrainerWrap::update>("update"),
       InstanceMethod<&TrainerWrap::gradient_norms>("gradientNorms"),
       InstanceMethod<&TrainerWrap::synchronise>("synchronise"),
       InstanceMethod<&TrainerWrap::save_adapter>("saveAdapter"),
       InstanceMethod<&TrainerWrap::save_weights>("saveWeights"),
       InstanceMethod<&TrainerWrap::save_state>("saveState"),
       InstanceMethod<&TrainerWrap::restore_state>("restoreState"),
       InstanceMethod("dispose", &TrainerWrap::dispose)});
  state.trainer_constructor = Napi::Persistent(constructor);
}

Napi::Value TrainerWrap::accumulate(const Napi::CallbackInfo& info) {
  return start(info, [&] {
    return [batch = to_micro_batch(info[0])](Trainer& trainer, const TaskContext& context) {
      return trainer.accumulate(batch, context.cancellation());
    };
  });
}

Napi::Value TrainerWrap::evaluate(const Napi::CallbackInfo& info) {
  return start(info, [&] {
    return [batch = to_micro_batch(info[0])](Trainer& trainer, const TaskContext& context) {
      return trainer.evaluate(batch, context.cancellation());
    };
  });
}

Napi::Value TrainerWrap::update(const Napi::CallbackInfo& info) {
  return start(info, [&] {
    return [request = to_update_request(info[0])](Trainer& trainer, const TaskContext& context) {
      return trainer.update(request, context.cancellation());
    };
  });
}

Napi::Value TrainerWrap::gradient_norms(const Napi::CallbackInfo& info) {
  return start(info, [] {
    return [](Trainer& trainer, const TaskContext& context) {
      return trainer.gradient_norms(context.cancellation());
    };
  });
}

Napi::Value TrainerWrap::write(const Napi::CallbackInfo& info,
                               void (Trainer::*save)(const std::string&) const) {
  return start(info, [&] {
    return [save, file = to_path(info[0])](Trainer& trainer, const TaskContext&) {
      (trainer.*save)(file);
    };
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
  return start(info, [&] {
    return [file = to_path(info[0]), count = to_update_count(info[1])](Trainer& trainer,
                                                                      const TaskContext&) {
      trainer.restore_state(file, count);
    };
  });
}

Napi::Value TrainerWrap::synchronise(const Napi::CallbackInfo& info) {
  return start(info, [&] {
    return [count = to_update_count(info[0])](Trainer& trainer, const TaskContext& context) {
      trainer.synchronise(count, context.cancellation());
    };
  });
}

}  // namespace facellm

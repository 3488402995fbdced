// Plain objects of lib/binding/native.ts to and from the structs of training/trainer.h; as convert.h.
#pragma once

#include <napi.h>

#include <string>

#include "image/augment.h"
#include "training/trainer.h"

namespace facellm {

TrainerRequest to_trainer_request(Napi::Value value);
MicroBatch to_micro_batch(Napi::Value value);
Augmentation to_augmentation(Napi::Value value);
UpdateRequest to_update_request(Napi::Value value);
std::string to_path(Napi::Value value);
int64_t to_update_count(Napi::Value value);

napi_value to_js(napi_env env, const TrainerInfo& info);
napi_value to_js(napi_env env, const MicroResult& result);
napi_value to_js(napi_env env, const EvaluateResult& result);
napi_value to_js(napi_env env, const UpdateResult& result);
napi_value to_js(napi_env env, const NamedNorms& norms);

}  // namespace facellm

// Plain objects of lib/binding/native.ts to and from the structs of generation/face_llm.h. Everything
// is copied on the way in. Throws kInvalidArgument listing every wrong field.
#pragma once

#include <napi.h>

#include "core/runtime.h"
#include "generation/face_llm.h"
#include "lora/export_checkpoint.h"
#include "model/attention_backends.h"
#include "model/random_checkpoint.h"

namespace facellm {

LoadRequest to_load_request(Napi::Value value);
GenerateRequest to_generate_request(Napi::Value value);
ChooseRequest to_choose_request(Napi::Value value);
Prompt to_prompt(Napi::Value value);
ImageInput to_image(Napi::Value value);
std::vector<ImageInput> to_images(Napi::Value value);
std::vector<int64_t> to_adapter_ids(Napi::Value value);
AdapterSource to_adapter_source(Napi::Value value);
RandomCheckpointRequest to_random_checkpoint(Napi::Value value);
ExportRequest to_export_request(Napi::Value value);

napi_value to_js(napi_env env, const RuntimeInfo& info);
napi_value to_js(napi_env env, const std::vector<AttentionBackend>& backends);
napi_value to_js(napi_env env, const ModelInfo& info);
napi_value to_js(napi_env env, const AdapterInfo& info);
napi_value to_js(napi_env env, const ExportResult& result);
napi_value to_js(napi_env env, const GenerateResult& result);
napi_value to_js(napi_env env, const ChooseResult& result);
napi_value to_js(napi_env env, const EngineStats& stats);
napi_value to_js(napi_env env, const HostTensor& tensor);
napi_value to_js(napi_env env, const std::vector<HostTensor>& tensors);
napi_value to_js(napi_env env, const std::vector<TokenEvent>& events);

}  // namespace facellm

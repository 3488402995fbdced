#include "binding/convert.h"
#include "binding/js_value.h"

namespace facellm {
namespace {

const char* name_of(FinishReason reason) {
  switch (reason) {
    case FinishReason::kEos: return "eos";
    case FinishReason::kLength: return "length";
    default: return "cancelled";
  }
}

double count(int64_t value) { return static_cast<double>(value); }

napi_value to_js(napi_env env, const Timings& timings) {
  const auto object = js::object(env);
  js::set(env, object, "preprocess", js::number(env, timings.preprocess));
  js::set(env, object, "vision", js::number(env, timings.vision));
  js::set(env, object, "prefill", js::number(env, timings.prefill));
  js::set(env, object, "decode", js::number(env, timings.decode));
  return object;
}

napi_value to_js(napi_env env, const RowResult& row) {
  const auto object = js::object(env);
  js::set(env, object, "finishReason", js::text(env, name_of(row.finish_reason)));
  js::set(env, object, "promptTokens", js::number(env, count(row.prompt_tokens)));
  js::set(env, object, "imageTokens", js::number(env, count(row.image_tokens)));
  js::set(env, object, "cachedTokens", js::number(env, count(row.cached_tokens)));
  js::set(env, object, "generatedTokens", js::number(env, count(row.generated_tokens)));
  return object;
}

napi_value to_js(napi_env env, const GpuInfo& gpu) {
  const auto object = js::object(env);
  js::set(env, object, "name", js::text(env, gpu.name));
  js::set(env, object, "computeMajor", js::number(env, gpu.compute_major));
  js::set(env, object, "computeMinor", js::number(env, gpu.compute_minor));
  js::set(env, object, "memoryBytes", js::number(env, count(gpu.memory_bytes)));
  return object;
}

template <typename Items, typename Convert>
napi_value to_array(napi_env env, const Items& items, Convert convert) {
  const auto result = js::array(env);
  uint32_t index = 0;
  for (const auto& item : items) js::push(env, result, index++, convert(item));
  return result;
}

}  // namespace

napi_value to_js(napi_env env, const RuntimeInfo& info) {
  const auto object = js::object(env);
  js::set(env, object, "version", js::text(env, info.version));
  js::set(env, object, "libtorch", js::text(env, info.libtorch));
  js::set(env, object, "isCudaBuild", js::boolean(env, info.is_cuda_build));
  js::set(env, object, "cudaArchs",
          to_array(env, info.cuda_archs, [&](const auto& arch) { return js::text(env, arch); }));
  js::set(env, object, "cpuCapability", js::text(env, info.cpu_capability));
  js::set(env, object, "cpuLevel", js::text(env, info.cpu_level));
  js::set(env, object, "hasAvx512Bf16", js::boolean(env, info.has_avx512_bf16));
  js::set(env, object, "widensBf16", js::boolean(env, info.widens_bf16));
  js::set(env, object, "threads", js::number(env, info.threads));
  js::set(env, object, "gpus",
          to_array(env, info.gpus, [&](const auto& gpu) { return to_js(env, gpu); }));
  js::set(env, object, "gpuProblem", js::text(env, info.gpu_problem));
  return object;
}

napi_value to_js(napi_env env, const ModelInfo& info) {
  const auto object = js::object(env);
  js::set(env, object, "device", js::text(env, info.device));
  js::set(env, object, "dtype", js::text(env, info.dtype));
  js::set(env, object, "parameterCount", js::number(env, count(info.parameter_count)));
  js::set(env, object, "parameterBytes", js::number(env, count(info.parameter_bytes)));
  js::set(env, object, "loadMs", js::number(env, info.load_ms));
  js::set(env, object, "peakBytes", js::number(env, count(info.peak_bytes)));
  return object;
}

napi_value to_js(napi_env env, const AdapterInfo& info) {
  const auto object = js::object(env);
  js::set(env, object, "id", js::number(env, count(info.id)));
  js::set(env, object, "parameterCount", js::number(env, count(info.parameter_count)));
  js::set(env, object, "bytes", js::number(env, count(info.bytes)));
  js::set(env, object, "touchesVision", js::boolean(env, info.touches_vision));
  return object;
}

napi_value to_js(napi_env env, const ExportResult& result) {
  const auto object = js::object(env);
  js::set(env, object, "files", to_array(env, result.files, [&](const ExportedFile& file) {
            const auto own = js::object(env);
            js::set(env, own, "name", js::text(env, file.name));
            js::set(env, own, "tensors", to_array(env, file.tensors, [&](const auto& name) {
                      return js::text(env, name);
                    }));
            return own;
          }));
  js::set(env, object, "tensorBytes", js::number(env, count(result.tensor_bytes)));
  return object;
}

napi_value to_js(napi_env env, const GenerateResult& result) {
  const auto object = js::object(env);
  js::set(env, object, "rows",
          to_array(env, result.rows, [&](const auto& row) { return to_js(env, row); }));
  js::set(env, object, "timings", to_js(env, result.timings));
  js::set(env, object, "peakBytes", js::number(env, count(result.peak_bytes)));
  return object;
}

napi_value to_js(napi_env env, const ChooseResult& result) {
  const auto object = js::object(env);
  js::set(env, object, "logProbs", js::float64_array(env, result.log_probs));
  js::set(env, object, "tokenLogProbs",
          to_array(env, result.token_log_probs,
                   [&](const auto& values) { return js::float32_array(env, values); }));
  js::set(env, object, "promptTokens", js::number(env, count(result.prompt_tokens)));
  js::set(env, object, "imageTokens", js::number(env, count(result.image_tokens)));
  js::set(env, object, "cachedTokens", js::number(env, count(result.cached_tokens)));
  js::set(env, object, "timings", to_js(env, result.timings));
  js::set(env, object, "peakBytes", js::number(env, count(result.peak_bytes)));
  return object;
}

napi_value to_js(napi_env env, const std::vector<HostTensor>& tensors) {
  return to_array(env, tensors, [&](const HostTensor& tensor) {
    const auto object = js::object(env);
    js::set(env, object, "name", js::text(env, tensor.name));
    js::set(env, object, "shape", to_array(env, tensor.shape, [&](int64_t size) {
              return js::number(env, count(size));
            }));
    js::set(env, object, "data", js::float32_array(env, tensor.data));
    return object;
  });
}

napi_value to_js(napi_env env, const std::vector<TokenEvent>& events) {
  std::vector<int32_t> rows, ids;
  std::vector<float> log_probs;
  for (const auto& event : events) {
    rows.push_back(event.row);
    ids.push_back(event.id);
    log_probs.push_back(event.log_prob);
  }
  const auto object = js::object(env);
  js::set(env, object, "rows", js::int32_array(env, rows));
  js::set(env, object, "ids", js::int32_array(env, ids));
  js::set(env, object, "logProbs", js::float32_array(env, log_probs));
  return object;
}

}  // namespace facellm

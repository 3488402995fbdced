#include "binding/convert.h"
#include "binding/errors.h"
#include "binding/js_value.h"
#include "model/product_kernels.h"

namespace facellm {
namespace {

const char* name_of(FinishReason reason) {
  switch (reason) {
    case FinishReason::kEos: return "eos";
    case FinishReason::kLength: return "length";
    case FinishReason::kFailed: return "failed";
    default: return "cancelled";
  }
}

napi_value to_js(napi_env env, const Timings& timings) {
  return js::object(env, {{"queue", js::number(env, timings.queue)},
                          {"preprocess", js::number(env, timings.preprocess)},
                          {"vision", js::number(env, timings.vision)},
                          {"prefill", js::number(env, timings.prefill)},
                          {"decode", js::number(env, timings.decode)}});
}

napi_value to_js(napi_env env, const RowResult& row) {
  return js::object(env, {{"finishReason", js::text(env, name_of(row.finish_reason))},
                          {"promptTokens", js::count(env, row.prompt_tokens)},
                          {"imageTokens", js::count(env, row.image_tokens)},
                          {"cachedTokens", js::count(env, row.cached_tokens)},
                          {"generatedTokens", js::count(env, row.generated_tokens)},
                          {"preemptions", js::count(env, row.preemptions)},
                          {"error", row.error ? to_js_error(env, *row.error) : js::null(env)}});
}

napi_value to_js(napi_env env, const GpuInfo& gpu) {
  return js::object(env, {{"name", js::text(env, gpu.name)},
                          {"computeMajor", js::number(env, gpu.compute_major)},
                          {"computeMinor", js::number(env, gpu.compute_minor)},
                          {"memoryBytes", js::count(env, gpu.memory_bytes)}});
}

napi_value to_js(napi_env env, const AttentionBackend& one) {
  return js::object(env, {{"call", js::text(env, one.call)}, {"backend", js::text(env, one.backend)}});
}

template <typename Items, typename Convert>
napi_value to_array(napi_env env, const Items& items, Convert convert) {
  const auto result = js::array(env);
  uint32_t index = 0;
  for (const auto& item : items) js::push(env, result, index++, convert(item));
  return result;
}

napi_value texts(napi_env env, const std::vector<std::string>& items) {
  return to_array(env, items, [&](const auto& item) { return js::text(env, item); });
}

napi_value to_js(napi_env env, const ExportedFile& file) {
  return js::object(env, {{"name", js::text(env, file.name)}, {"tensors", texts(env, file.tensors)}});
}

template <typename Items>
napi_value objects(napi_env env, const Items& items) {
  return to_array(env, items, [&](const auto& item) { return to_js(env, item); });
}

}  // namespace

napi_value to_js(napi_env env, const std::vector<AttentionBackend>& backends) { return objects(env, backends); }

napi_value to_js(napi_env env, const RuntimeInfo& info) {
  return js::object(env, {{"version", js::text(env, info.version)},
                          {"libtorch", js::text(env, info.libtorch)},
                          {"isCudaBuild", js::boolean(env, info.is_cuda_build)},
                          {"cudaArchs", texts(env, info.cuda_archs)},
                          {"cpuCapability", js::text(env, info.cpu_capability)},
                          {"cpuLevel", js::text(env, info.cpu_level)},
                          {"hasAvx512Bf16", js::boolean(env, info.has_avx512_bf16)},
                          {"widensBf16", js::boolean(env, info.widens_bf16)},
                          {"productKernels", js::text(env, product_kernels().name)},
                          {"productRows", js::count(env, product_kernels().most_rows)},
                          {"quantisedKernels", js::text(env, product_kernels().quantised)},
                          {"threads", js::number(env, info.threads)},
                          {"gpus", objects(env, info.gpus)},
                          {"gpuProblem", js::text(env, info.gpu_problem)}});
}

napi_value to_js(napi_env env, const WeightForms& weights) {
  const auto object = js::object(env, {{"text", js::text(env, weights.text)},
                                       {"head", js::text(env, weights.head)},
                                       {"vision", js::text(env, weights.vision)},
                                       {"group", js::count(env, weights.group)}});
  // Left out where they are as stored: fingerprints are over what is told.
  if (weights.embeddings != "stored") js::set(env, object, "embeddings", js::text(env, weights.embeddings));
  return object;
}

napi_value to_js(napi_env env, const ModelInfo& info) {
  return js::object(env, {{"device", js::text(env, info.device)},
                          {"dtype", js::text(env, info.dtype)},
                          {"parameterCount", js::count(env, info.parameter_count)},
                          {"parameterBytes", js::count(env, info.parameter_bytes)},
                          {"packedBytes", js::count(env, info.packed_bytes)},
                          {"weights", to_js(env, info.weights)},
                          {"loadMs", js::number(env, info.load_ms)},
                          {"peakBytes", js::count(env, info.peak_bytes)}});
}

napi_value to_js(napi_env env, const AdapterInfo& info) {
  return js::object(env, {{"id", js::count(env, info.id)},
                          {"parameterCount", js::count(env, info.parameter_count)},
                          {"bytes", js::count(env, info.bytes)},
                          {"touchesVision", js::boolean(env, info.touches_vision)}});
}

napi_value to_js(napi_env env, const ExportResult& result) {
  return js::object(env, {{"files", objects(env, result.files)},
                          {"tensorBytes", js::count(env, result.tensor_bytes)}});
}

napi_value to_js(napi_env env, const GenerateResult& result) {
  return js::object(env, {{"rows", objects(env, result.rows)},
                          {"timings", to_js(env, result.timings)},
                          {"peakBytes", js::count(env, result.peak_bytes)}});
}

napi_value to_js(napi_env env, const ChooseResult& result) {
  return js::object(env, {{"logProbs", js::float64_array(env, result.log_probs)},
                          {"tokenLogProbs", to_array(env, result.token_log_probs, [&](const auto& values) {
                             return js::float32_array(env, values);
                           })},
                          {"promptTokens", js::count(env, result.prompt_tokens)},
                          {"imageTokens", js::count(env, result.image_tokens)},
                          {"cachedTokens", js::count(env, result.cached_tokens)},
                          {"timings", to_js(env, result.timings)},
                          {"peakBytes", js::count(env, result.peak_bytes)}});
}

napi_value to_js(napi_env env, const EngineStats& stats) {
  return js::object(env, {{"waitingRequests", js::count(env, stats.waiting_requests)},
                          {"runningRows", js::count(env, stats.running_rows)},
                          {"totalBlocks", js::count(env, stats.total_blocks)},
                          {"usedBlocks", js::count(env, stats.used_blocks)},
                          {"cachedBlocks", js::count(env, stats.cached_blocks)},
                          {"blockTokens", js::count(env, stats.block_tokens)},
                          {"blockBytes", js::count(env, stats.block_bytes)},
                          {"pinnedImages", js::count(env, stats.pinned_images)},
                          {"cachedImages", js::count(env, stats.cached_images)},
                          {"receivedImages", js::count(env, stats.received_images)},
                          {"steps", js::count(env, stats.steps)},
                          {"tokensComputed", js::count(env, stats.tokens_computed)},
                          {"tokensCached", js::count(env, stats.tokens_cached)},
                          {"tokensGenerated", js::count(env, stats.tokens_generated)},
                          {"tilesEncoded", js::count(env, stats.tiles_encoded)},
                          {"preemptions", js::count(env, stats.preemptions)}});
}

napi_value to_js(napi_env env, const HostTensor& tensor) {
  return js::object(env, {{"name", js::text(env, tensor.name)},
                          {"shape", to_array(env, tensor.shape, [&](int64_t size) { return js::count(env, size); })},
                          {"data", js::float32_array(env, tensor.data)}});
}

napi_value to_js(napi_env env, const std::vector<HostTensor>& tensors) {
  return to_array(env, tensors, [&](const HostTensor& tensor) { return to_js(env, tensor); });
}

napi_value to_js(napi_env env, const std::vector<TokenEvent>& events) {
  std::vector<double> requests;
  std::vector<int32_t> rows, ids, top_counts, top_ids;
  std::vector<float> log_probs, mask_masses, top_log_probs;
  for (const auto& event : events) {
    requests.push_back(static_cast<double>(event.request));
    rows.push_back(event.row);
    ids.push_back(event.id);
    log_probs.push_back(event.log_prob);
    mask_masses.push_back(event.mask_mass);
    top_counts.push_back(static_cast<int32_t>(event.top.size()));
    for (const auto& [id, log_prob] : event.top) {
      top_ids.push_back(id);
      top_log_probs.push_back(log_prob);
    }
  }
  return js::object(env, {{"requests", js::float64_array(env, requests)},
                          {"rows", js::int32_array(env, rows)},
                          {"ids", js::int32_array(env, ids)},
                          {"logProbs", js::float32_array(env, log_probs)},
                          {"maskMasses", js::float32_array(env, mask_masses)},
                          {"topCounts", js::int32_array(env, top_counts)},
                          {"topIds", js::int32_array(env, top_ids)},
                          {"topLogProbs", js::float32_array(env, top_log_probs)}});
}

}  // namespace facellm

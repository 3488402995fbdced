#include <algorithm>

#include "binding/convert.h"
#include "binding/object_reader.h"
#include "image/pixel_store.h"

namespace facellm {
namespace {

using Problems = std::vector<std::string>;

VisionConfig read_vision(ObjectReader reader) {
  VisionConfig config;
  config.hidden_size = reader.integer("hiddenSize");
  config.intermediate_size = reader.integer("intermediateSize");
  config.num_hidden_layers = reader.integer("numHiddenLayers");
  config.num_attention_heads = reader.integer("numAttentionHeads");
  config.image_size = reader.integer("imageSize");
  config.patch_size = reader.integer("patchSize");
  config.has_qkv_bias = reader.boolean("hasQkvBias");
  config.has_qk_norm = reader.boolean("hasQkNorm");
  config.is_rms_norm = reader.boolean("isRmsNorm");
  config.norm_eps = reader.number("normEps");
  config.has_final_norm = reader.boolean("hasFinalNorm");
  return config;
}

TextConfig read_text(ObjectReader reader) {
  TextConfig config;
  config.hidden_size = reader.integer("hiddenSize");
  config.intermediate_size = reader.integer("intermediateSize");
  config.num_hidden_layers = reader.integer("numHiddenLayers");
  config.num_attention_heads = reader.integer("numAttentionHeads");
  config.num_key_value_heads = reader.integer("numKeyValueHeads");
  config.head_dim = reader.integer("headDim");
  config.vocab_size = reader.integer("vocabSize");
  config.max_position_embeddings = reader.integer("maxPositionEmbeddings");
  config.rms_norm_eps = reader.number("rmsNormEps");
  config.rope_theta = reader.number("ropeTheta");
  config.rope_dynamic_factor = reader.number("ropeDynamicFactor");
  return config;
}

// What the model's constructors divide by and allocate; lib/checkpoint explains in config.json's own
// terms, this keeps a wrong caller from reaching libtorch.
void check_sizes(const InternVlConfig& config, Problems& problems) {
  constexpr int64_t kLargest = int64_t{1} << 24;
  const auto& v = config.vision;
  const auto& t = config.text;
  for (const int64_t size :
       {v.hidden_size, v.intermediate_size, v.num_hidden_layers, v.num_attention_heads,
        v.image_size, v.patch_size, t.hidden_size, t.intermediate_size, t.num_hidden_layers,
        t.num_attention_heads, t.num_key_value_heads, t.head_dim, t.vocab_size,
        t.max_position_embeddings, config.image_seq_length}) {
    if (size < 1 || size > kLargest) {
      problems.push_back("config: sizes must be 1.." + std::to_string(kLargest) + ", got " +
                         std::to_string(size));
    }
  }
  if (!problems.empty()) return;
  const bool is_ratio = config.downsample_ratio > 0 && config.downsample_ratio <= 1;
  const int64_t factor = is_ratio ? std::llround(1.0 / config.downsample_ratio) : 1;
  const int64_t side = v.image_size / v.patch_size;
  const auto require = [&](bool is_met, const char* text) {
    if (!is_met) problems.push_back(std::string("config: ") + text);
  };
  require(is_ratio, "downsampleRatio must be in (0, 1]");
  require(v.hidden_size % v.num_attention_heads == 0, "vision heads must divide the hidden size");
  require(v.image_size % v.patch_size == 0, "patchSize must divide imageSize");
  require(side % factor == 0 && config.image_seq_length == (side / factor) * (side / factor),
          "imageSeqLength must be (imageSize / patchSize * downsampleRatio)^2");
  require(t.num_attention_heads % t.num_key_value_heads == 0,
          "key/value heads must divide the attention heads");
  require(t.head_dim % 2 == 0, "headDim must be even");
  require(!config.keeps_cls_token, "keepsClsToken (feature strategy 'full') is not supported");
  require(config.vision_feature_layer >= -v.num_hidden_layers - 1 &&
              config.vision_feature_layer <= v.num_hidden_layers,
          "visionFeatureLayer is out of range");
}

Quantisation read_quantisation(ObjectReader reader) {
  const Quantisation form{reader.text("format"), reader.natural("bits"), reader.natural("group"), reader.boolean("isSymmetric")};
  reader.require(form.bits == 4 || form.bits == 8, "bits: expected 4 or 8");
  return form;
}

InternVlConfig read_config(ObjectReader reader) {
  InternVlConfig config;
  config.vision = read_vision(reader.child("vision"));
  config.text = read_text(reader.child("text"));
  config.downsample_ratio = reader.number("downsampleRatio");
  config.image_seq_length = reader.integer("imageSeqLength");
  config.image_token_id = reader.integer("imageTokenId");
  config.vision_feature_layer = reader.integer("visionFeatureLayer");
  config.keeps_cls_token = reader.boolean("keepsClsToken");
  config.ties_embeddings = reader.boolean("tiesEmbeddings");
  if (reader.has("quantisation")) config.quantisation = read_quantisation(reader.child("quantisation"));
  if (reader.problems().empty()) check_sizes(config, reader.problems());
  return config;
}

void read_channels(ObjectReader& reader, const char* name, double target[3]) {
  size_t count = 0;
  reader.each(name, [&](Napi::Value value, const std::string& path) {
    const double channel = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : std::nan("");
    if (!std::isfinite(channel)) reader.problems().push_back(path + ": expected a finite number");
    if (count < 3) target[count] = channel;
    ++count;
  });
  if (count != 3) reader.problems().push_back(reader.path() + "." + name + ": expected 3 numbers");
}

ImageInput read_image(ObjectReader reader) {
  auto& problems = reader.problems();
  const auto& path = reader.path();
  ImageInput image;
  image.key = reader.text("key");
  if (reader.has("rgb")) {
    image.rgb = copy_pixels(reader.typed_view<uint8_t>("rgb", napi_uint8_array, "a Uint8Array"));
  }
  image.width = reader.integer("width");
  image.height = reader.integer("height");
  const int64_t columns = reader.integer("columns"), rows = reader.integer("rows");
  image.has_thumbnail = reader.boolean("hasThumbnail");
  constexpr int64_t kLongestSide = int64_t{1} << 28;
  if (image.width < 1 || image.height < 1 || image.width > kLongestSide ||
      image.height > kLongestSide) {
    problems.push_back(path + ": expected a width and height of at least 1");
  } else if (image.rgb && image.rgb->size() != static_cast<size_t>(image.width * image.height * 3)) {
    problems.push_back(path + ".rgb: expected " + std::to_string(image.width * image.height * 3) +
                       " bytes, got " + std::to_string(image.rgb->size()));
  }
  if (columns < 1 || rows < 1 || columns > 4096 || rows > 4096) {
    problems.push_back(path + ": expected 1 to 4096 columns and rows of tiles");
  } else {
    image.columns = static_cast<int>(columns);
    image.rows = static_cast<int>(rows);
  }
  return image;
}

Prompt read_prompt(ObjectReader reader) {
  Prompt prompt;
  prompt.ids = reader.typed_array<int32_t>("ids", napi_int32_array, "an Int32Array");
  reader.each("images", [&](Napi::Value image, const std::string& path) {
    prompt.images.push_back(read_image({image, path, reader.problems()}));
  });
  return prompt;
}

SamplingOptions read_sampling(ObjectReader reader) {
  SamplingOptions options{};
  options.is_greedy = reader.boolean("isGreedy");
  options.temperature = reader.number("temperature");
  options.top_k = reader.natural("topK");
  options.top_p = reader.number("topP");
  options.min_p = reader.number("minP");
  options.repetition_penalty = reader.number("repetitionPenalty");
  options.seed = static_cast<uint64_t>(reader.natural("seed"));
  options.frequency_penalty = reader.number("frequencyPenalty");
  options.presence_penalty = reader.number("presencePenalty");
  options.min_tokens = reader.natural("minTokens");
  options.top_log_probs = reader.natural("topLogProbs");
  const auto log_probs = reader.text("logProbs");
  options.log_probs = log_probs == "processed" ? LogProbs::kProcessed : LogProbs::kRaw;
  const auto ids = reader.typed_array<int32_t>("biasIds", napi_int32_array, "an Int32Array");
  const auto biases = reader.typed_array<float>("biases", napi_float32_array, "a Float32Array");
  for (size_t i = 0; i < std::min(ids.size(), biases.size()); ++i) options.logit_bias.emplace_back(ids[i], biases[i]);
  reader.require(log_probs == "raw" || log_probs == "processed", "logProbs: expected raw or processed");
  reader.require(ids.size() == biases.size(), "biases: expected one an id");
  reader.require(std::ranges::all_of(biases, [](float bias) { return std::isfinite(bias); }), "biases: expected finite numbers");
  reader.require(options.top_log_probs <= 1024, "topLogProbs: expected at most 1024");
  reader.require(options.temperature > 0, "temperature: expected a number above 0");
  reader.require(options.top_p > 0 && options.top_p <= 1, "topP: expected a number in (0, 1]");
  reader.require(options.min_p >= 0 && options.min_p <= 1, "minP: expected a number in [0, 1]");
  reader.require(options.repetition_penalty > 0, "repetitionPenalty: expected a number above 0");
  return options;
}

// Fields `files` and `weightMap`.
void read_files(ObjectReader& reader, std::vector<std::string>& files,
                std::vector<std::pair<std::string, int32_t>>& weight_map) {
  auto& problems = reader.problems();
  reader.each("files", [&](Napi::Value file, const std::string& path) {
    if (!file.IsString()) problems.push_back(path + ": expected a path");
    files.push_back(file.IsString() ? file.As<Napi::String>().Utf8Value() : "");
  });
  reader.each("weightMap", [&](Napi::Value entry, const std::string& path) {
    const auto pair = entry.IsArray() ? entry.As<Napi::Array>() : Napi::Array();
    if (pair.IsEmpty() || pair.Length() != 2 || !pair.Get(0u).IsString() || !pair.Get(1u).IsNumber()) {
      problems.push_back(path + ": expected [name, file index]");
      return;
    }
    weight_map.emplace_back(pair.Get(0u).As<Napi::String>().Utf8Value(),
                            pair.Get(1u).As<Napi::Number>().Int32Value());
  });
}

// -1 after a problem.
int64_t read_adapter_id(Napi::Value id, const std::string& path, Problems& problems) {
  const double number = id.IsNumber() ? id.As<Napi::Number>().DoubleValue() : -1;
  if (number >= 1 && number == std::floor(number) && number <= 9007199254740991.0) {
    return static_cast<int64_t>(number);
  }
  problems.push_back(path + ": expected the number of a loaded adapter");
  return -1;
}

std::vector<int64_t> read_adapter_ids(ObjectReader& reader) {
  std::vector<int64_t> ids;
  reader.each("adapters", [&](Napi::Value id, const std::string& path) {
    ids.push_back(read_adapter_id(id, path, reader.problems()));
  });
  return ids;
}

AdapterSource read_adapter_source(ObjectReader reader) {
  AdapterSource source;
  source.file = reader.text("file");
  reader.each("modules", [&](Napi::Value module, const std::string& path) {
    ObjectReader own(module, path, reader.problems());
    source.spec.modules.push_back({own.text("name"), own.integer("rank"), own.number("scaling")});
  });
  source.spec.uses_dora = reader.boolean("usesDora");
  return source;
}

}  // namespace

LoadRequest to_load_request(Napi::Value value) {
  return read_object("loadModel", value, "request", [](ObjectReader& reader) {
    LoadRequest request;
    request.config = read_config(reader.child("config"));
    auto preprocessing = reader.child("preprocessing");
    read_channels(preprocessing, "mean", request.preprocessing.mean);
    read_channels(preprocessing, "std", request.preprocessing.std);
    request.preprocessing.rescale_factor = preprocessing.number("rescaleFactor");
    read_files(reader, request.files, request.weight_map);
    request.device = reader.text("device");
    request.dtype = reader.text("dtype");
    auto weights = reader.child("weights");
    request.weights = {weights.text("text"), weights.text("head"), weights.text("vision"), weights.integer("group")};
    if (weights.has("embeddings")) request.weights.embeddings = weights.text("embeddings");
    request.uses_mmap = reader.boolean("mmap");
    request.image_cache_bytes = reader.natural("imageCacheBytes");
    request.prefix_cache_bytes = reader.natural("prefixCacheBytes");
    request.kv_bytes = reader.natural("kvBytes");
    request.max_rows = reader.integer("maxRows");
    request.max_context = reader.integer("maxContext");
    request.is_deterministic = reader.boolean("deterministic");
    reader.require(request.max_rows >= 1, "maxRows: expected at least 1");
    reader.require(request.max_context >= 1, "maxContext: expected at least 1");
    return request;
  });
}

GenerateRequest to_generate_request(Napi::Value value) {
  return read_object("generate", value, "request", [](ObjectReader& reader) {
    GenerateRequest request;
    request.prompt = read_prompt(reader.child("prompt"));
    request.rows = reader.integer("rows");
    reader.require(request.rows >= 1 && request.rows <= 1024, "rows: expected 1 to 1024");
    request.first_row = reader.natural("firstRow");
    request.adapters = read_adapter_ids(reader);
    request.sampling = read_sampling(reader.child("sampling"));
    request.max_new_tokens = reader.integer("maxNewTokens");
    reader.require(request.max_new_tokens >= 1, "maxNewTokens: expected at least 1");
    reader.each("eosIds", [&](Napi::Value id, const std::string& path) {
      if (!id.IsNumber()) reader.problems().push_back(path + ": expected a token id");
      request.eos_ids.push_back(id.IsNumber() ? id.As<Napi::Number>().Int32Value() : -1);
    });
    request.uses_prefix_cache = reader.boolean("usesPrefixCache");
    request.is_masked = reader.boolean("isMasked");
    return request;
  });
}

ChooseRequest to_choose_request(Napi::Value value) {
  return read_object("choose", value, "request", [](ObjectReader& reader) {
    ChooseRequest request;
    reader.each("choices", [&](Napi::Value ids, const std::string& path) {
      request.choices.push_back(ObjectReader::copy_typed_array<int32_t>(
          ids, napi_int32_array, path, "an Int32Array", reader.problems()));
    });
    request.prompt = read_prompt(reader.child("prompt"));
    request.adapters = read_adapter_ids(reader);
    request.uses_prefix_cache = reader.boolean("usesPrefixCache");
    request.prefix_group = static_cast<uint64_t>(reader.natural("prefixGroup"));
    return request;
  });
}

Prompt to_prompt(Napi::Value value) { return read_object("trace", value, "prompt", read_prompt); }

ImageInput to_image(Napi::Value value) {
  return read_object("image", value, "image", [](ObjectReader& reader) {
    reader.require(reader.has("rgb"), "rgb: expected a Uint8Array");
    return read_image(reader);
  });
}

std::vector<ImageInput> to_images(Napi::Value value) {
  Problems problems;
  std::vector<ImageInput> images;
  ObjectReader::each_of(value, "images", problems, [&](Napi::Value image, const std::string& path) {
    images.push_back(read_image({image, path, problems}));
  });
  if (problems.empty() && images.empty()) problems.push_back("images: expected at least one");
  finish("embedImages", std::move(problems));
  return images;
}

std::vector<int64_t> to_adapter_ids(Napi::Value value) {
  Problems problems;
  std::vector<int64_t> ids;
  ObjectReader::each_of(value, "adapters", problems, [&](Napi::Value id, const std::string& path) {
    ids.push_back(read_adapter_id(id, path, problems));
  });
  finish("adapters", std::move(problems));
  return ids;
}

AdapterSource to_adapter_source(Napi::Value value) {
  return read_object("loadAdapter", value, "adapter", read_adapter_source);
}

RandomCheckpointRequest to_random_checkpoint(Napi::Value value) {
  return read_object("writeRandomCheckpoint", value, "request", [](ObjectReader& reader) {
    return RandomCheckpointRequest{read_config(reader.child("config")), reader.boolean("hasHead"),
                                   static_cast<uint64_t>(reader.natural("seed")), reader.text("file")};
  });
}

ExportRequest to_export_request(Napi::Value value) {
  return read_object("exportCheckpoint", value, "request", [](ObjectReader& reader) {
    ExportRequest request;
    request.config = read_config(reader.child("config"));
    read_files(reader, request.files, request.weight_map);
    reader.each("adapters", [&](Napi::Value adapter, const std::string& path) {
      request.adapters.push_back(read_adapter_source({adapter, path, reader.problems()}));
    });
    const auto layout = reader.text("layout");
    request.is_original_layout = layout == "original";
    reader.require(layout == "hf" || layout == "original", "layout: expected hf or original");
    request.dtype = reader.text("dtype");
    reader.require(request.dtype == "" || request.dtype == "fp32" || request.dtype == "bf16",
                   "dtype: expected fp32, bf16 or an empty string");
    if (reader.has("quantisation")) request.quantisation = read_quantisation(reader.child("quantisation"));
    request.directory = reader.text("directory");
    request.max_shard_bytes = reader.natural("maxShardBytes");
    request.available_bytes = reader.natural("availableBytes");
    return request;
  });
}

}  // namespace facellm

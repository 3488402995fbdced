// test/fixtures/golden/ckpt-300m, as lib/checkpoint reads its config.json.
#pragma once

#include "model/load_request.h"

namespace facellm {

inline LoadRequest tiny_model(const std::string& file, const std::string& dtype) {
  LoadRequest request{};
  auto& vision = request.config.vision;
  vision.hidden_size = 64;
  vision.intermediate_size = 96;
  vision.num_hidden_layers = 2;
  vision.num_attention_heads = 2;
  vision.image_size = 56;
  vision.patch_size = 14;
  vision.has_qkv_bias = true;
  auto& text = request.config.text;
  text.hidden_size = 64;
  text.intermediate_size = 96;
  text.num_hidden_layers = 2;
  text.num_attention_heads = 4;
  text.num_key_value_heads = 2;
  text.head_dim = 16;
  text.vocab_size = 2079;
  text.max_position_embeddings = 32768;
  request.config.image_seq_length = 4;
  request.config.image_token_id = 2072;
  request.preprocessing = {{0.5, 0.5, 0.5}, {0.5, 0.5, 0.5}, 1.0 / 255};
  request.files = {file};
  request.device = "cpu";
  request.dtype = dtype;
  request.kv_bytes = 1 << 24;
  request.max_rows = 16;
  request.max_context = 32768;
  return request;
}

inline const std::string kTinyWeights = FACELLM_FIXTURES "/golden/ckpt-300m/model.safetensors";

}  // namespace facellm

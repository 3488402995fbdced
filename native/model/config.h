// Sizes and constants of an InternVL3 checkpoint, already normalised by lib/checkpoint from either
// the HF or the original config.json (docs/internvl3.md, section 2). Torch-free.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "checkpoint/quantisation.h"

namespace facellm {

struct VisionConfig {
  int64_t hidden_size = 0;          // C
  int64_t intermediate_size = 0;
  int64_t num_hidden_layers = 0;
  int64_t num_attention_heads = 0;
  int64_t image_size = 0;           // pixels, square
  int64_t patch_size = 0;           // pixels, square
  bool has_qkv_bias = false;        // HF attention_bias, original qkv_bias
  bool has_qk_norm = false;         // HF use_qk_norm: RMSNorm over all C channels, before heads
  bool is_rms_norm = false;         // norm_type rms_norm (InternViT-6B), else layer_norm
  double norm_eps = 1e-6;           // layer_norm_eps
  bool has_final_norm = false;      // HF use_mean_pooling == false adds vision_tower.layernorm
};

struct TextConfig {
  int64_t hidden_size = 0;          // D
  int64_t intermediate_size = 0;
  int64_t num_hidden_layers = 0;
  int64_t num_attention_heads = 0;  // H
  int64_t num_key_value_heads = 0;  // K
  int64_t head_dim = 0;             // E
  int64_t vocab_size = 0;           // V
  int64_t max_position_embeddings = 0;
  double rms_norm_eps = 1e-6;
  double rope_theta = 1e6;
  double rope_dynamic_factor = 0;   // 0: plain RoPE; > 0: "dynamic" scaling beyond the limit
};

struct InternVlConfig {
  VisionConfig vision;
  TextConfig text;
  double downsample_ratio = 0.5;    // pixel shuffle: 0.5 joins 2 x 2 patches
  int64_t image_seq_length = 256;   // tokens a tile
  int64_t image_token_id = 151667;
  int64_t vision_feature_layer = -1;   // index into [embeddings, layer 0, ...]; -1 is the last
  bool keeps_cls_token = false;        // vision_feature_select_strategy == "full"
  bool ties_embeddings = false;        // a checkpoint without a head of its own shares embed_tokens
  Quantisation quantisation = {};      // in which form its files have linear layers' weights
};

}  // namespace facellm

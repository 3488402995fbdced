// tiny_model() with random weights and heads of 32, which go by the processor's own attention in bf16 where the tiny one's, of 16, do not.
#pragma once

#include <filesystem>
#include <string>

#include "model/random_checkpoint.h"
#include "tiny_model.h"

namespace facellm {

constexpr int64_t kWideHead = 32;

// `file` is written where it is not there.
inline LoadRequest wide_headed_model(const std::string& file, const std::string& dtype) {
  auto request = tiny_model(file, dtype);
  request.config.text.head_dim = kWideHead;
  if (!std::filesystem::exists(file)) write_random_checkpoint({request.config, /*has_lm_head=*/true, /*seed=*/3, file}, {});
  return request;
}

}  // namespace facellm

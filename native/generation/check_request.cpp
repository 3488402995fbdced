#include "generation/check_request.h"

#include <algorithm>

namespace facellm {

int64_t image_tokens(const InternVlConfig& config, const ImageInput& image) {
  const int64_t tiles = int64_t{image.columns} * image.rows + (image.has_thumbnail ? 1 : 0);
  return tiles * config.image_seq_length;
}

void check_pixels(const ImageInput& image, size_t bytes) {
  const auto pixels = static_cast<size_t>(image.width * image.height * 3);
  if (bytes == pixels) return;
  throw Error(ErrorCode::kInvalidArgument, "image " + image.key + ": expected " + std::to_string(pixels) +
                                               " bytes of RGB, got " + std::to_string(bytes));
}

void check_prompt(const InternVlConfig& config, const Prompt& prompt) {
  const auto length = static_cast<int64_t>(prompt.ids.size());
  if (length == 0) throw Error(ErrorCode::kInvalidArgument, "prompt: expected at least one token");
  if (length >= config.text.max_position_embeddings) {
    throw Error(ErrorCode::kPromptTooLong,
                "the prompt has " + std::to_string(length) + " tokens, the model's limit is " +
                    std::to_string(config.text.max_position_embeddings) +
                    " for prompt and answer together; use fewer tiles, images or words");
  }
  int64_t placeholders = 0, expected = 0;
  for (const int32_t id : prompt.ids) {
    if (id < 0 || id >= config.text.vocab_size) {
      throw Error(ErrorCode::kInvalidArgument,
                  "prompt: token id " + std::to_string(id) + " is outside the vocabulary of " +
                      std::to_string(config.text.vocab_size));
    }
    placeholders += id == config.image_token_id;
  }
  for (const auto& image : prompt.images) {
    if (image.rgb) check_pixels(image, image.rgb->size());
    expected += image_tokens(config, image);
  }
  if (placeholders != expected) {
    throw Error(ErrorCode::kImageTokenMismatch,
                "the prompt holds " + std::to_string(placeholders) +
                    " image placeholder(s), its " + std::to_string(prompt.images.size()) +
                    " image(s) give " + std::to_string(expected) +
                    " vector(s); expand each image to tiles x " +
                    std::to_string(config.image_seq_length) + " placeholders");
  }
}

void check_sampling(const InternVlConfig& config, const SamplingOptions& sampling) {
  std::vector<std::string> details;
  for (const auto& [id, bias] : sampling.logit_bias) {
    if (id >= 0 && id < config.text.vocab_size) continue;
    details.push_back("logitBias: id " + std::to_string(id) + " is outside the vocabulary of " +
                      std::to_string(config.text.vocab_size));
  }
  if (!details.empty()) throw Error(ErrorCode::kInvalidArgument, "the request is wrong", std::move(details));
}

void check_choices(const InternVlConfig& config, const ChooseRequest& request) {
  std::vector<std::string> details;
  size_t longest = 0;
  for (size_t c = 0; c < request.choices.size(); ++c) {
    const auto& ids = request.choices[c];
    longest = std::max(longest, ids.size());
    if (ids.empty()) details.push_back("choice " + std::to_string(c) + " has no tokens");
    for (const int32_t id : ids) {
      if (id >= 0 && id < config.text.vocab_size) continue;
      details.push_back("choice " + std::to_string(c) + ": token id " + std::to_string(id) +
                        " is outside the vocabulary of " + std::to_string(config.text.vocab_size));
    }
  }
  if (request.choices.empty()) details.push_back("there are no choices");
  if (!details.empty()) {
    throw Error(ErrorCode::kInvalidArgument, "choices: expected one or more token ids each",
                std::move(details));
  }
  const auto needed = static_cast<int64_t>(request.prompt.ids.size() + longest);
  if (needed > config.text.max_position_embeddings) {
    throw Error(ErrorCode::kPromptTooLong,
                "prompt and longest choice take " + std::to_string(needed) +
                    " tokens, the model's limit is " +
                    std::to_string(config.text.max_position_embeddings) +
                    "; use fewer tiles, images or words");
  }
}

}  // namespace facellm

// What a prompt and its answers must be before any work. Torch-free.
#pragma once

#include "generation/request.h"
#include "model/config.h"

namespace facellm {

// Throws kPromptTooLong, kImageTokenMismatch, or kInvalidArgument for an id outside the vocabulary.
void check_prompt(const InternVlConfig& config, const Prompt& prompt);
// Throws kInvalidArgument listing every id with a bias that is outside the vocabulary.
void check_sampling(const InternVlConfig& config, const SamplingOptions& sampling);
// Throws kInvalidArgument for so many bytes of pixels that are none of this image.
void check_pixels(const ImageInput& image, size_t bytes);
// Throws kInvalidArgument listing every wrong choice, or kPromptTooLong.
void check_choices(const InternVlConfig& config, const ChooseRequest& request);
// Vectors that a picture gives.
int64_t image_tokens(const InternVlConfig& config, const ImageInput& image);

}  // namespace facellm

// Turns whatever is in flight in a catch block into one of our errors: the single place where
// exceptions of libtorch, CUDA and the standard library get their code. Torch-free header.
#pragma once

#include "core/error.h"

namespace facellm {

// Call only inside a catch block. Never throws.
Error translate_current_exception() noexcept;

}  // namespace facellm

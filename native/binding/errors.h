// facellm::Error to a JavaScript Error with `code` and `details`.
#pragma once

#include <node_api.h>

#include "core/error.h"

namespace facellm {

// Safe while the environment goes down; may then return null.
napi_value to_js_error(napi_env env, const Error& error);

}  // namespace facellm

#include "binding/errors.h"

#include "binding/js_value.h"

namespace facellm {

napi_value to_js_error(napi_env env, const Error& error) {
  napi_value result = nullptr;
  napi_create_error(env, js::text(env, error_code_name(error.code())),
                    js::text(env, error.message()), &result);
  const auto details = js::array(env);
  uint32_t index = 0;
  for (const auto& detail : error.details()) js::push(env, details, index++, js::text(env, detail));
  js::set(env, result, "details", details);
  return result;
}

}  // namespace facellm

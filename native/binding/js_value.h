// JavaScript values by raw Node-API, statuses ignored. Results are built inside callbacks of a
// thread-safe function, and there an environment may be going down: node-addon-api would throw from
// its own error path and abort the process; a raw call fails quietly and nobody looks at the result.
#pragma once

#include <node_api.h>

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace facellm::js {

napi_value undefined(napi_env env);
napi_value null(napi_env env);
napi_value number(napi_env env, double value);
napi_value boolean(napi_env env, bool value);
napi_value text(napi_env env, std::string_view value);
inline napi_value count(napi_env env, int64_t value) { return number(env, static_cast<double>(value)); }
napi_value object(napi_env env, std::initializer_list<std::pair<const char*, napi_value>> fields);
napi_value array(napi_env env);
void set(napi_env env, napi_value object, const char* name, napi_value value);
void push(napi_env env, napi_value array, uint32_t index, napi_value value);
// New typed arrays over a copy of the data.
napi_value int32_array(napi_env env, std::span<const int32_t> values);
napi_value float32_array(napi_env env, std::span<const float> values);
napi_value float64_array(napi_env env, std::span<const double> values);
napi_value uint8_array(napi_env env, std::span<const uint8_t> values);

}  // namespace facellm::js

#include "binding/js_value.h"

#include <cstring>

namespace facellm::js {
namespace {

napi_value typed_array(napi_env env, napi_typedarray_type type, const void* data, size_t bytes,
                       size_t count) {
  void* target = nullptr;
  napi_value buffer = nullptr, result = nullptr;
  if (napi_create_arraybuffer(env, bytes, &target, &buffer) != napi_ok) return nullptr;
  if (bytes > 0) std::memcpy(target, data, bytes);
  napi_create_typedarray(env, type, count, buffer, 0, &result);
  return result;
}

}  // namespace

napi_value undefined(napi_env env) {
  napi_value result = nullptr;
  napi_get_undefined(env, &result);
  return result;
}

napi_value null(napi_env env) {
  napi_value result = nullptr;
  napi_get_null(env, &result);
  return result;
}

napi_value number(napi_env env, double value) {
  napi_value result = nullptr;
  napi_create_double(env, value, &result);
  return result;
}

napi_value boolean(napi_env env, bool value) {
  napi_value result = nullptr;
  napi_get_boolean(env, value, &result);
  return result;
}

napi_value text(napi_env env, std::string_view value) {
  napi_value result = nullptr;
  napi_create_string_utf8(env, value.data(), value.size(), &result);
  return result;
}

napi_value object(napi_env env, std::initializer_list<std::pair<const char*, napi_value>> fields) {
  napi_value result = nullptr;
  napi_create_object(env, &result);
  for (const auto& [name, value] : fields) set(env, result, name, value);
  return result;
}

napi_value array(napi_env env) {
  napi_value result = nullptr;
  napi_create_array(env, &result);
  return result;
}

void set(napi_env env, napi_value object, const char* name, napi_value value) {
  if (object != nullptr && value != nullptr) napi_set_named_property(env, object, name, value);
}

void push(napi_env env, napi_value array, uint32_t index, napi_value value) {
  if (array != nullptr && value != nullptr) napi_set_element(env, array, index, value);
}

napi_value int32_array(napi_env env, std::span<const int32_t> values) {
  return typed_array(env, napi_int32_array, values.data(), values.size_bytes(), values.size());
}

napi_value float32_array(napi_env env, std::span<const float> values) {
  return typed_array(env, napi_float32_array, values.data(), values.size_bytes(), values.size());
}

napi_value float64_array(napi_env env, std::span<const double> values) {
  return typed_array(env, napi_float64_array, values.data(), values.size_bytes(), values.size());
}

napi_value uint8_array(napi_env env, std::span<const uint8_t> values) {
  return typed_array(env, napi_uint8_array, values.data(), values.size_bytes(), values.size());
}

}  // namespace facellm::js

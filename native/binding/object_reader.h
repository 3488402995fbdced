// Reads fields of a JavaScript object strictly and collects every problem; finish() throws them all
// as one kInvalidArgument.
#pragma once

#include <napi.h>

#include <cmath>
#include <span>
#include <string>
#include <vector>

#include "core/error.h"

namespace facellm {

class ObjectReader {
 public:
  ObjectReader(Napi::Value value, std::string path, std::vector<std::string>& problems)
      : path_(std::move(path)), problems_(problems) {
    if (value.IsObject()) {
      object_ = value.As<Napi::Object>();
    } else {
      problems_.push_back(path_ + ": expected an object");
    }
  }

  int64_t integer(const char* name) {
    const auto value = get(name);
    const double number = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : std::nan("");
    constexpr double kLargest = 9007199254740991.0;
    if (std::trunc(number) != number || std::abs(number) > kLargest) {
      complain(name, "a whole number");
      return 0;
    }
    return static_cast<int64_t>(number);
  }
  int64_t natural(const char* name) {  // >= 0
    const int64_t value = integer(name);
    if (value < 0) complain(name, "a whole number of at least 0");
    return value;
  }
  double number(const char* name) {
    const auto value = get(name);
    const double result = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : std::nan("");
    if (!std::isfinite(result)) complain(name, "a finite number");
    return result;
  }
  bool boolean(const char* name) {
    const auto value = get(name);
    if (!value.IsBoolean()) {
      complain(name, "true or false");
      return false;
    }
    return value.As<Napi::Boolean>().Value();
  }
  std::string text(const char* name) {
    const auto value = get(name);
    if (!value.IsString()) {
      complain(name, "a string");
      return {};
    }
    return value.As<Napi::String>().Utf8Value();
  }
  bool has(const char* name) {
    const auto value = get(name);
    return !value.IsEmpty() && !value.IsUndefined();
  }
  ObjectReader child(const char* name) { return {get(name), path_ + "." + name, problems_}; }
  // Calls visit(value, path) for every element.
  template <typename Visit>
  void each(const char* name, Visit visit) {
    if (!object_.IsEmpty()) each_of(get(name), path_ + "." + name, problems_, visit);
  }
  template <typename Visit>
  static void each_of(Napi::Value value, const std::string& path, std::vector<std::string>& problems,
                      Visit visit) {
    if (!value.IsArray()) {
      problems.push_back(path + ": expected an array");
      return;
    }
    const auto array = value.As<Napi::Array>();
    for (uint32_t i = 0; i < array.Length(); ++i) {
      visit(array.Get(i), path + "[" + std::to_string(i) + "]");
    }
  }
  // `text`: a field of this object and what it should have been.
  void require(bool is_met, const char* text) {
    if (!is_met) problems_.push_back(path_ + "." + text);
  }
  // A copy of a typed array's bytes, taken now: afterwards JavaScript may change, detach or shrink
  // the buffer.
  template <typename T>
  std::vector<T> typed_array(const char* name, napi_typedarray_type type, const char* type_name) {
    return copy_typed_array<T>(get(name), type, path_ + "." + name, type_name, problems_);
  }

  template <typename T>
  static std::vector<T> copy_typed_array(Napi::Value value, napi_typedarray_type type,
                                         const std::string& path, const char* type_name,
                                         std::vector<std::string>& problems) {
    const auto values = view_typed_array<T>(value, type, path, type_name, problems);
    return std::vector<T>(values.begin(), values.end());
  }

  // Its bytes where they lie: for as long as JavaScript does not run.
  template <typename T>
  std::span<const T> typed_view(const char* name, napi_typedarray_type type, const char* type_name) {
    return view_typed_array<T>(get(name), type, path_ + "." + name, type_name, problems_);
  }

  template <typename T>
  static std::span<const T> view_typed_array(Napi::Value value, napi_typedarray_type type,
                                             const std::string& path, const char* type_name,
                                             std::vector<std::string>& problems) {
    napi_typedarray_type actual{};
    size_t length = 0;
    void* data = nullptr;
    const bool is_typed = value.IsTypedArray() &&
                          napi_get_typedarray_info(value.Env(), value, &actual, &length, &data,
                                                   nullptr, nullptr) == napi_ok;
    if (!is_typed || actual != type) {
      problems.push_back(path + ": expected " + type_name);
      return {};
    }
    return data == nullptr ? std::span<const T>() : std::span(static_cast<const T*>(data), length);
  }

  std::vector<std::string>& problems() { return problems_; }
  const std::string& path() const { return path_; }

 private:
  Napi::Value get(const char* name) {
    return object_.IsEmpty() ? Napi::Value() : object_.Get(name);
  }
  void complain(const char* name, const char* expected) {
    if (!object_.IsEmpty()) problems_.push_back(path_ + "." + name + ": expected " + expected);
  }

  std::string path_;
  std::vector<std::string>& problems_;
  Napi::Object object_;
};

inline void finish(const char* what, std::vector<std::string> problems) {
  if (problems.empty()) return;
  // Counted first: arguments are evaluated in any order.
  const auto count = std::to_string(problems.size());
  throw Error(ErrorCode::kInvalidArgument, std::string(what) + ": " + count + " wrong field(s)",
              std::move(problems));
}

// What `read` makes of an object; finish()es in the name of `what`.
template <typename Read>
auto read_object(const char* what, Napi::Value value, const char* path, Read read) {
  std::vector<std::string> problems;
  ObjectReader reader(value, path, problems);
  auto result = read(reader);
  finish(what, std::move(problems));
  return result;
}

}  // namespace facellm

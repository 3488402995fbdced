// NativeProcessGroup of lib/binding/native.ts.
//   info()                 [sync]
//   sum(values)            [async]  collective
//   fail(code, message)    [sync]   returns at once, also while a collective waits
//   leave()                [async]  idempotent
#pragma once

#include <napi.h>

#include <memory>

#include "binding/engine_object.h"
#include "distributed/process_group.h"

namespace facellm {

class GroupWrap : public Napi::ObjectWrap<GroupWrap> {
 public:
  static void define(Napi::Env env, EnvState& state);
  static napi_value create(napi_env env, EnvState& state, std::shared_ptr<ProcessGroup> group);
  // Null for undefined; throws kInvalidArgument for anything else that is no group.
  static std::shared_ptr<ProcessGroup> unwrap(const EnvState& state, Napi::Value value);

  explicit GroupWrap(const Napi::CallbackInfo& info);

 private:
  Napi::Value info(const Napi::CallbackInfo& info);
  Napi::Value sum(const Napi::CallbackInfo& info);
  Napi::Value fail(const Napi::CallbackInfo& info);
  Napi::Value leave(const Napi::CallbackInfo& info);

  std::shared_ptr<ProcessGroup> group_;
};

GroupRequest to_group_request(Napi::Value value);

}  // namespace facellm

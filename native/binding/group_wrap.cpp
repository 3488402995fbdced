#include "binding/group_wrap.h"

#include "binding/convert.h"
#include "binding/errors.h"
#include "binding/object_reader.h"

namespace facellm {

void GroupWrap::define(Napi::Env env, EnvState& state) {
  const auto constructor = DefineClass(env, "NativeProcessGroup",
                                       {InstanceMethod<&GroupWrap::info>("info"),
                                        InstanceMethod<&GroupWrap::sum>("sum"),
                                        InstanceMethod<&GroupWrap::fail>("fail"),
                                        InstanceMethod<&GroupWrap::leave>("leave")});
  state.group_constructor = Napi::Persistent(constructor);
}

napi_value GroupWrap::create(napi_env env, EnvState& state, std::shared_ptr<ProcessGroup> group) {
  auto handle = std::make_shared<GroupHandle>();
  handle->group = std::move(group);
  return construct(env, state.group_constructor, handle);
}

std::shared_ptr<ProcessGroup> GroupWrap::unwrap(const EnvState& state, Napi::Value value) {
  if (value.IsUndefined()) return nullptr;
  if (!value.IsObject() || !value.As<Napi::Object>().InstanceOf(state.group_constructor.Value())) {
    throw Error(ErrorCode::kInvalidArgument, "group: expected what joinGroup() gives, or undefined");
  }
  return Unwrap(value.As<Napi::Object>())->handle_->group;
}

GroupWrap::GroupWrap(const Napi::CallbackInfo& info) : Napi::ObjectWrap<GroupWrap>(info) {
  if (info.Length() != 1 || !info[0].IsExternal()) {
    throw Napi::TypeError::New(info.Env(), "NativeProcessGroup is made by joinGroup()");
  }
  handle_ = *info[0].As<Napi::External<std::shared_ptr<GroupHandle>>>().Data();
}

Napi::Value GroupWrap::info(const Napi::CallbackInfo& info) {
  auto object = Napi::Object::New(info.Env());
  object.Set("rank", static_cast<double>(handle_->group->rank()));
  object.Set("size", static_cast<double>(handle_->group->size()));
  object.Set("backend", handle_->group->backend());
  return object;
}

Napi::Value GroupWrap::sum(const Napi::CallbackInfo& info) {
  auto& state = *info.Env().GetInstanceData<EnvState>();
  try {
    if (!info[0].IsArray()) throw Error(ErrorCode::kInvalidArgument, "values: expected an array of numbers");
    const auto array = info[0].As<Napi::Array>();
    std::vector<double> values;
    for (uint32_t i = 0; i < array.Length(); ++i) {
      const Napi::Value value = array[i];
      if (!value.IsNumber()) throw Error(ErrorCode::kInvalidArgument, "values: expected an array of numbers");
      values.push_back(value.As<Napi::Number>().DoubleValue());
    }
    Task<std::vector<double>> task;
    task.run = [handle = handle_, values = std::move(values)](const TaskContext& context) {
      return handle->group->sum(values, context.cancellation());
    };
    task.convert = [](napi_env env, EnvState&, std::vector<double>& sums) {
      const auto result = js::array(env);
      for (uint32_t i = 0; i < sums.size(); ++i) js::push(env, result, i, js::number(env, sums[i]));
      return result;
    };
    return start_task(info.Env(), state, std::move(task));
  } catch (const Napi::Error&) {
    throw;
  } catch (...) {
    return failed_job(info.Env(), state, translate_current_exception());
  }
}

Napi::Value GroupWrap::fail(const Napi::CallbackInfo& info) {
  handle_->group->fail(info[0].ToString().Utf8Value(), info[1].ToString().Utf8Value());
  return info.Env().Undefined();
}

Napi::Value GroupWrap::leave(const Napi::CallbackInfo& info) {
  Task<bool> task;
  task.run = [handle = handle_](const TaskContext&) {
    handle->group->leave();
    return true;
  };
  task.convert = [](napi_env env, EnvState&, bool&) { return js::undefined(env); };
  return start_task(info.Env(), *info.Env().GetInstanceData<EnvState>(), std::move(task));
}

GroupRequest to_group_request(Napi::Value value) {
  std::vector<std::string> problems;
  ObjectReader reader(value, "request", problems);
  GroupRequest request;
  request.rank = reader.natural("rank");
  request.size = reader.natural("size");
  request.address = reader.text("address");
  request.port = reader.natural("port");
  request.hosts_store = reader.boolean("hostsStore");
  request.prefix = reader.text("prefix");
  request.device = reader.text("device");
  request.join_timeout_seconds = reader.number("joinTimeoutSeconds");
  if (request.rank >= request.size) problems.push_back("request.rank: expected less than request.size");
  if (request.port < 1 || request.port > 65535) problems.push_back("request.port: expected 1..65535");
  finish("joinGroup", std::move(problems));
  return request;
}

}  // namespace facellm

#include "binding/group_wrap.h"

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
  return construct(env, state.group_constructor, group);
}

std::shared_ptr<ProcessGroup> GroupWrap::unwrap(const EnvState& state, Napi::Value value) {
  if (value.IsUndefined()) return nullptr;
  if (!value.IsObject() || !value.As<Napi::Object>().InstanceOf(state.group_constructor.Value())) {
    throw Error(ErrorCode::kInvalidArgument, "group: expected what joinGroup() gives, or undefined");
  }
  return Unwrap(value.As<Napi::Object>())->group_;
}

GroupWrap::GroupWrap(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<GroupWrap>(info),
      group_(constructed_with<ProcessGroup>(info, "NativeProcessGroup is made by joinGroup()")) {}

Napi::Value GroupWrap::info(const Napi::CallbackInfo& info) {
  auto object = Napi::Object::New(info.Env());
  object.Set("rank", static_cast<double>(group_->rank()));
  object.Set("size", static_cast<double>(group_->size()));
  object.Set("backend", group_->backend());
  return object;
}

Napi::Value GroupWrap::sum(const Napi::CallbackInfo& info) {
  return start_job(info, [&] {
    std::vector<std::string> problems;
    std::vector<double> values;
    ObjectReader::each_of(info[0], "values", problems, [&](Napi::Value value, const std::string& path) {
      if (!value.IsNumber()) problems.push_back(path + ": expected a number");
      values.push_back(value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : 0);
    });
    finish("sum", std::move(problems));
    Task<std::vector<double>> task;
    task.device = group_->device();
    task.run = [group = group_, values = std::move(values)](const TaskContext& context) {
      return group->sum(values, context.cancellation());
    };
    task.convert = [](napi_env env, EnvState&, std::vector<double>& sums) {
      const auto result = js::array(env);
      for (uint32_t i = 0; i < sums.size(); ++i) js::push(env, result, i, js::number(env, sums[i]));
      return result;
    };
    return task;
  });
}

Napi::Value GroupWrap::fail(const Napi::CallbackInfo& info) {
  group_->fail(info[0].ToString().Utf8Value(), info[1].ToString().Utf8Value());
  return info.Env().Undefined();
}

Napi::Value GroupWrap::leave(const Napi::CallbackInfo& info) {
  auto task = make_task([group = group_](const TaskContext&) { group->leave(); });
  task.device = group_->device();
  return start_task(info.Env(), state_of(info), std::move(task));
}

GroupRequest to_group_request(Napi::Value value) {
  return read_object("joinGroup", value, "request", [](ObjectReader& reader) {
    GroupRequest request;
    request.rank = reader.natural("rank");
    request.size = reader.natural("size");
    request.address = reader.text("address");
    request.port = reader.natural("port");
    request.hosts_store = reader.boolean("hostsStore");
    request.prefix = reader.text("prefix");
    request.device = reader.text("device");
    request.join_timeout_seconds = reader.number("joinTimeoutSeconds");
    reader.require(request.rank < request.size, "rank: expected less than request.size");
    reader.require(request.port >= 1 && request.port <= 65535, "port: expected 1..65535");
    return request;
  });
}

}  // namespace facellm

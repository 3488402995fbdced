// A request's way to the engine's loop and back: a job in JavaScript, a ticket in the loop. Its tokens come with
// those of all other requests of the same model and environment, one callback a step.
#pragma once

#include <chrono>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include "binding/async_task.h"
#include "binding/convert.h"
#include "binding/object_reader.h"

namespace facellm {

// A model's user in one environment. The keys of what takes tokens there, and of what is told whose pixels are wanted
// (EnvState::callbacks).
struct ClientCallbacks {
  uint64_t tokens;
  uint64_t pixels;
};

class JsStepClient : public StepClient {
 public:
  JsStepClient(std::shared_ptr<Port> port, ClientCallbacks keys) : port_(std::move(port)), keys_(keys) {}
  bool enter() override { return port_->enter_step(); }
  void leave() override { port_->leave_step(); }
  bool is_slow() const override { return port_->is_full(); }
  void deliver(std::vector<TokenEvent> tokens) override {
    port_->post([key = keys_.tokens, tokens = std::move(tokens)](napi_env env, EnvState& state) {
      call(env, state, key, {to_js(env, tokens)});
    });
  }
  void want_pixels(RequestId request, size_t image) override {
    port_->post([key = keys_.pixels, request, image](napi_env env, EnvState& state) {
      call(env, state, key,
           {js::number(env, static_cast<double>(request)), js::number(env, static_cast<double>(image))});
    });
  }

 private:
  static void call(napi_env env, EnvState& state, uint64_t key, std::vector<napi_value> arguments) {
    const auto found = state.callbacks->find(key);
    napi_value function = nullptr;
    if (found == state.callbacks->end()) return;
    if (napi_get_reference_value(env, found->second, &function) != napi_ok) return;
    const auto status =
        napi_call_function(env, js::undefined(env), function, arguments.size(), arguments.data(), nullptr);
    if (status != napi_pending_exception) return;
    napi_value thrown = nullptr;
    napi_get_and_clear_last_exception(env, &thrown);
    napi_fatal_exception(env, thrown);
  }

  std::shared_ptr<Port> port_;
  ClientCallbacks keys_;
};

// setMask(row, step, words | null) and endRow(row) of a job's object. They may be called when it has ended.
inline void add_row_control(Napi::Env env, EnvState& state, Napi::Object job, std::shared_ptr<RowControl> control) {
  const auto row_of = [](const Napi::CallbackInfo& info) {
    return info[0].IsNumber() ? info[0].As<Napi::Number>().Int32Value() : -1;
  };
  job.Set("setMask", Napi::Function::New(env, [=, &state](const Napi::CallbackInfo& info) {
            const double step = info[1].IsNumber() ? info[1].As<Napi::Number>().DoubleValue() : -1;
            std::vector<std::string> problems;
            auto mask = info[2].IsNull() ? TokenMask()
                                         : ObjectReader::copy_typed_array<uint32_t>(info[2], napi_uint32_array, "words",
                                                                                    "a Uint32Array or null", problems);
            if (row_of(info) < 0) problems.push_back("row: expected a number");
            if (!(step >= 0)) problems.push_back("step: expected a number");
            if (!problems.empty()) throw Napi::TypeError::New(info.Env(), "setMask: " + problems.front());
            control->set_mask(row_of(info), static_cast<int64_t>(step), std::move(mask));
            state.notify_engines();
          }, "setMask"));
  job.Set("endRow", Napi::Function::New(env, [=, &state](const Napi::CallbackInfo& info) {
            control->end(row_of(info));
            state.notify_engines();
          }, "endRow"));
}

// Hands `request` to the engine behind `handle`, whose `engine` is touched on its own thread only.
template <typename Result, typename Request, typename Handle>
Napi::Object start_request(Napi::Env env, EnvState& state, std::shared_ptr<StepClient> client,
                           std::shared_ptr<Handle> handle, Request request) {
  Job job;
  job.cancellation = std::make_shared<Cancellation>();
  job.owner = handle.get();
  auto* engine_thread = job.engine = &state.engine(handle->info.device);  // it runs the closure
  napi_value promise = nullptr;
  napi_create_promise(env, &job.deferred, &promise);
  auto cancellation = job.cancellation;
  const uint64_t id = state.add(env, std::move(job));
  const auto control = std::make_shared<RowControl>();
  const auto submitted = std::chrono::steady_clock::now();
  auto port = state.port();
  engine_thread->post(id, [=, request = std::make_shared<Request>(std::move(request))]() mutable {
    if (!port->enter(cancellation)) return;
    // The model lives as long as what it is asked.
    const auto fail = [port, id, handle](const Error& error) {
      port->post([id, error](napi_env js_env, EnvState& js_state) { js_state.reject(js_env, id, error); });
    };
    const auto done = [port, id](Result result) {
      port->post([id, result = std::make_shared<Result>(std::move(result))](napi_env js_env, EnvState& js_state) {
        js_state.resolve(js_env, id, to_js(js_env, *result));
      });
    };
    if (cancellation->requested()) {
      fail(Error(ErrorCode::kCancelled, "the work was stopped before it began"));
    } else if (!handle->engine) {
      fail(Error(ErrorCode::kDisposed, "the model was disposed while it worked"));
    } else {
      handle->engine->submit(Ticket{id, client, cancellation, fail, control, submitted}, std::move(*request), done);
      engine_thread->attach(handle->engine);
    }
    port->leave(cancellation);
  });
  auto result = make_job(env, state, id, promise);
  result.Set("id", Napi::Number::New(env, static_cast<double>(id)));
  if constexpr (std::is_same_v<Request, GenerateRequest>) add_row_control(env, state, result, control);
  return result;
}

}  // namespace facellm

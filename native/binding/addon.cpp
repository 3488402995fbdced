// Entry point: the NativeAddon object of lib/binding/native.ts, one per JavaScript environment.
#include <napi.h>

#include <cmath>
#include <optional>

#include "binding/detector_wrap.h"
#include "binding/engine_object.h"
#include "binding/group_wrap.h"
#include "binding/model_wrap.h"
#include "binding/trainer_wrap.h"
#include "core/runtime.h"
#include "image/augment.h"
#include "image/preprocess.h"
#include "model/attention_backends.h"

namespace facellm {
namespace {

Napi::Value get_runtime_info(const Napi::CallbackInfo& info) {
  return start_job(info, [] { return make_task([](const TaskContext&) { return runtime_info(); }); });
}

Napi::Value list_attention_backends(const Napi::CallbackInfo& info) {
  return start_job(info, [&] {
    const std::string device = info[0].IsString() ? info[0].As<Napi::String>().Utf8Value() : "";
    return make_task([device](const TaskContext&) { return attention_backends(device); });
  });
}

Napi::Value error_codes(const Napi::CallbackInfo& info) {
  const auto result = Napi::Array::New(info.Env());
  uint32_t index = 0;
  for (const auto& entry : error_code_table()) result.Set(index++, entry.name);
  return result;
}

Napi::Value set_thread_count(const Napi::CallbackInfo& info) {
  return start_job(info, [&] {
    const double threads = info[0].IsNumber() ? info[0].As<Napi::Number>().DoubleValue() : 0;
    if (threads < 1 || threads > 4096 || threads != static_cast<int>(threads)) {
      throw Error(ErrorCode::kInvalidArgument, "threads: expected a whole number of 1..4096");
    }
    return make_task([count = static_cast<int>(threads)](const TaskContext&) { set_threads(count); });
  });
}

LoadProgress load_progress(const TaskContext& context) {
  return [&context](int64_t done, int64_t total) {
    context.emit([=](napi_env env) {
      return std::vector<napi_value>{js::count(env, done), js::count(env, total)};
    });
  };
}

Napi::Value load_model(const Napi::CallbackInfo& info) {
  return start_job(info, [&] {
    const auto on_progress = to_callback(info[1], "onProgress");
    auto request = std::make_shared<LoadRequest>(to_load_request(info[0]));
    Task<std::unique_ptr<FaceLlm>> task;
    task.run = [request](const TaskContext& context) {
      return FaceLlm::load(*request, load_progress(context), context.cancellation());
    };
    task.convert = [](napi_env env, EnvState& state, std::unique_ptr<FaceLlm>& model) {
      return ModelWrap::create(env, state.model_constructor, std::move(model));
    };
    task.callback = on_progress;
    task.device = request->device;
    return task;
  });
}

Napi::Value create_trainer(const Napi::CallbackInfo& info) {
  return start_job(info, [&] {
    const auto on_progress = to_callback(info[1], "onProgress");
    auto request = std::make_shared<TrainerRequest>(to_trainer_request(info[0]));
    auto group = GroupWrap::unwrap(state_of(info), info[2]);
    Task<std::unique_ptr<Trainer>> task;
    task.run = [request, group](const TaskContext& context) {
      return Trainer::create(*request, group, load_progress(context), context.cancellation());
    };
    task.convert = [](napi_env env, EnvState& state, std::unique_ptr<Trainer>& trainer) {
      return TrainerWrap::create(env, state.trainer_constructor, std::move(trainer));
    };
    task.callback = on_progress;
    task.device = request->load.device;
    return task;
  });
}

Napi::Value export_weights(const Napi::CallbackInfo& info) {
  return start_job(info, [&] {
    const auto on_progress = to_callback(info[1], "onProgress");
    auto request = std::make_shared<ExportRequest>(to_export_request(info[0]));
    auto task = make_task([request](const TaskContext& context) {
      return export_checkpoint(*request, load_progress(context), context.cancellation());
    });
    task.callback = on_progress;
    return task;
  });
}

Napi::Value write_random_weights(const Napi::CallbackInfo& info) {
  return start_job(info, [&] {
    Task<int64_t> task;
    task.run = [request = to_random_checkpoint(info[0])](const TaskContext& context) {
      return write_random_checkpoint(request, context.cancellation());
    };
    task.convert = [](napi_env env, EnvState&, int64_t& count) { return js::count(env, count); };
    return task;
  });
}

Napi::Value join_group(const Napi::CallbackInfo& info) {
  return start_job(info, [&] {
    Task<std::shared_ptr<ProcessGroup>> task;
    const auto request = to_group_request(info[0]);
    task.device = request.device;
    task.run = [request](const TaskContext& context) { return ProcessGroup::join(request, context.cancellation()); };
    task.convert = [](napi_env env, EnvState& state, std::shared_ptr<ProcessGroup>& group) {
      return GroupWrap::create(env, state, std::move(group));
    };
    return task;
  });
}

Napi::Value list_backends(const Napi::CallbackInfo& info) {
  const auto result = Napi::Array::New(info.Env());
  uint32_t index = 0;
  for (const auto& name : distributed_backends()) result.Set(index++, name);
  return result;
}

Napi::Value tile_grid(const Napi::CallbackInfo& info) {
  try {
    int64_t values[5];
    for (size_t i = 0; i < 5; ++i) {
      const double value = info[i].IsNumber() ? info[i].As<Napi::Number>().DoubleValue() : std::nan("");
      if (!(value >= 1 && value <= 2147483647) || value != std::floor(value)) {
        throw Error(ErrorCode::kInvalidArgument,
                    "chooseTileGrid: expected five whole numbers of at least 1");
      }
      values[i] = static_cast<int64_t>(value);
    }
    const auto grid = choose_tile_grid(values[0], values[1], values[2], static_cast<int>(values[3]),
                                       static_cast<int>(values[4]));
    auto result = Napi::Object::New(info.Env());
    result.Set("columns", grid.columns);
    result.Set("rows", grid.rows);
    return result;
  } catch (const Error& error) {
    throw Napi::Error(info.Env(), to_js_error(info.Env(), error));
  }
}

Napi::Value cut_tiles(const Napi::CallbackInfo& info) {
  return start_job(info, [&] {
    const int64_t size = info[1].IsNumber() ? info[1].As<Napi::Number>().Int64Value() : 0;
    std::optional<Augmentation> change;
    if (!info[2].IsUndefined()) change = to_augmentation(info[2]);
    Task<std::vector<uint8_t>> task;
    task.run = [image = to_image(info[0]), size, change](const TaskContext&) {
      const TileGrid grid{image.columns, image.rows};
      if (!change) {
        return tile_pixels(*image.rgb, image.width, image.height, size, grid, image.has_thumbnail);
      }
      const auto window = augment(*image.rgb, image.width, image.height, *change);
      return tile_pixels(window, change->width, change->height, size, grid, image.has_thumbnail);
    };
    task.convert = [](napi_env env, EnvState&, auto& bytes) { return js::uint8_array(env, bytes); };
    return task;
  });
}

Napi::Value resize_like_pillow(const Napi::CallbackInfo& info) {
  return start_job(info, [&] {
    // A one-tile image carries pixels and size through the same checks.
    auto image = Napi::Object::New(info.Env());
    image.Set("key", "");
    image.Set("rgb", info[0]);
    image.Set("width", info[1]);
    image.Set("height", info[2]);
    image.Set("columns", 1);
    image.Set("rows", 1);
    image.Set("hasThumbnail", false);
    const int64_t width = info[3].IsNumber() ? info[3].As<Napi::Number>().Int64Value() : 0;
    const int64_t height = info[4].IsNumber() ? info[4].As<Napi::Number>().Int64Value() : 0;
    Task<std::vector<uint8_t>> task;
    task.run = [source = to_image(image), width, height](const TaskContext&) {
      return resize_pillow(*source.rgb, source.width, source.height, width, height);
    };
    task.convert = [](napi_env env, EnvState&, auto& bytes) { return js::uint8_array(env, bytes); };
    return task;
  });
}

Napi::Object initialise(Napi::Env env, Napi::Object exports) {
  auto* state = new EnvState(env);
  env.SetInstanceData<EnvState>(state);
  state->stop_on_exit(env);
  ModelWrap::define(env, *state);
  TrainerWrap::define(env, *state);
  GroupWrap::define(env, *state);
  DetectorWrap::define(env, *state);
  exports.Set("runtimeInfo", Napi::Function::New<get_runtime_info>(env, "runtimeInfo"));
  exports.Set("attentionBackends", Napi::Function::New<list_attention_backends>(env, "attentionBackends"));
  exports.Set("errorCodes", Napi::Function::New<error_codes>(env, "errorCodes"));
  exports.Set("setThreads", Napi::Function::New<set_thread_count>(env, "setThreads"));
  exports.Set("loadModel", Napi::Function::New<load_model>(env, "loadModel"));
  exports.Set("createTrainer", Napi::Function::New<create_trainer>(env, "createTrainer"));
  exports.Set("writeRandomCheckpoint", Napi::Function::New<write_random_weights>(env, "writeRandomCheckpoint"));
  exports.Set("exportCheckpoint", Napi::Function::New<export_weights>(env, "exportCheckpoint"));
  exports.Set("joinGroup", Napi::Function::New<join_group>(env, "joinGroup"));
  exports.Set("distributedBackends", Napi::Function::New<list_backends>(env, "distributedBackends"));
  exports.Set("chooseTileGrid", Napi::Function::New<tile_grid>(env, "chooseTileGrid"));
  exports.Set("tilePixels", Napi::Function::New<cut_tiles>(env, "tilePixels"));
  exports.Set("loadFaceDetector", Napi::Function::New<load_face_detector>(env, "loadFaceDetector"));
  exports.Set("alignFace", Napi::Function::New<align_one_face>(env, "alignFace"));
  exports.Set("cutChip", Napi::Function::New<cut_one_chip>(env, "cutChip"));
  exports.Set("tilesAtOnce", static_cast<double>(kTilesAtOnce));
  exports.Set("resizePillow", Napi::Function::New<resize_like_pillow>(env, "resizePillow"));
  return exports;
}

NODE_API_MODULE(facellm, initialise)

}  // namespace
}  // namespace facellm

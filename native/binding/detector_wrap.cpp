#include "binding/detector_wrap.h"

#include "binding/object_reader.h"
#include "faces/chip.h"
#include "faces/similarity.h"
#include "image/limits.h"
#include "image/pixel_store.h"

namespace facellm {
namespace {

// A picture of the caller's, copied.
struct OwnPicture {
  std::shared_ptr<const std::vector<uint8_t>> rgb;
  int64_t width = 0, height = 0;

  PictureView view() const { return {rgb->data(), width, height}; }
};

std::shared_ptr<const OwnPicture> to_picture(Napi::Value value) {
  return read_object("image", value, "image", [](ObjectReader& reader) {
    auto picture = std::make_shared<OwnPicture>();
    picture->rgb = copy_pixels(reader.typed_view<uint8_t>("rgb", napi_uint8_array, "a Uint8Array"));
    picture->width = reader.natural("width"), picture->height = reader.natural("height");
    if (reader.problems().empty()) check_pixels(*picture->rgb, picture->width, picture->height);
    return picture;
  });
}

FindOptions to_find_options(Napi::Value value) {
  return read_object("find", value, "options", [](ObjectReader& reader) {
    FindOptions options;
    options.looks_for_all = reader.boolean("looksForAll");
    options.looks_for_small = reader.boolean("looksForSmall");
    options.is_any_way_up = reader.boolean("isAnyWayUp");
    options.refines = reader.boolean("refines");
    options.least_short = reader.number("leastShort");
    options.least_full = reader.number("leastFull");
    return options;
  });
}

Detection to_detection(Napi::Value value) {
  return read_object("face", value, "face", [](ObjectReader& reader) {
    const auto box = reader.typed_array<double>("box", napi_float64_array, "a Float64Array");
    const auto points = reader.typed_array<double>("points", napi_float64_array, "a Float64Array");
    reader.require(box.size() == 4, "box: expected 4 numbers");
    reader.require(points.size() == 2 * kFacePoints, "points: expected 12 numbers");
    Detection face;
    if (!reader.problems().empty()) return face;
    face.left = box[0], face.top = box[1], face.width = box[2], face.height = box[3];
    for (size_t k = 0; k < kFacePoints; ++k) face.points[k] = {points[2 * k], points[2 * k + 1]};
    return face;
  });
}

const char* name_of(Pass pass) {
  switch (pass) {
    case Pass::kShort: return "short";
    case Pass::kFull: return "full";
    case Pass::kBordered: return "bordered";
    case Pass::kSquares: return "squares";
  }
  return "";
}

napi_value to_js(napi_env env, const FoundFace& face) {
  const auto& found = face.detection;
  const double box[] = {found.left, found.top, found.width, found.height};
  std::vector<double> points;
  for (const auto& point : found.points) points.insert(points.end(), {point.x, point.y});
  return js::object(env, {{"box", js::float64_array(env, box)},
                          {"points", js::float64_array(env, points)},
                          {"score", js::number(env, found.score)},
                          {"pass", js::text(env, name_of(face.pass))},
                          {"isUncertain", js::boolean(env, face.is_uncertain)}});
}

napi_value to_js(napi_env env, const FoundFaces& found) {
  const auto faces = js::array(env), passes = js::array(env);
  uint32_t i = 0;
  for (const auto& face : found.faces) js::push(env, faces, i++, to_js(env, face));
  i = 0;
  for (const auto pass : found.passes) js::push(env, passes, i++, js::text(env, name_of(pass)));
  return js::object(env, {{"faces", faces},
                          {"passes", passes},
                          {"quarterTurns", js::number(env, found.quarter_turns)}});
}

}  // namespace

void DetectorWrap::define(Napi::Env env, EnvState& state) {
  const auto constructor = DefineClass(
      env, "NativeFaceDetector",
      {InstanceMethod<&DetectorWrap::find>("find"), InstanceMethod<&DetectorWrap::rows>("rows")});
  state.detector_constructor = Napi::Persistent(constructor);
}

DetectorWrap::DetectorWrap(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<DetectorWrap>(info),
      detector_(constructed_with<FaceDetector>(info, "NativeFaceDetector is made by loadFaceDetector()")) {}

Napi::Value DetectorWrap::find(const Napi::CallbackInfo& info) {
  return start_job(info, [&] {
    Task<FoundFaces> task;
    task.run = [detector = detector_, picture = to_picture(info[0]),
                options = to_find_options(info[1])](const TaskContext& context) {
      return detector->find(picture->view(), options, context.cancellation());
    };
    task.convert = [](napi_env env, EnvState&, FoundFaces& found) { return to_js(env, found); };
    task.is_beside = true;
    return task;
  });
}

Napi::Value DetectorWrap::rows(const Napi::CallbackInfo& info) {
  return start_job(info, [&] {
    Task<std::vector<float>> task;
    task.run = [detector = detector_, picture = to_picture(info[0]),
                is_full = info[1].ToBoolean().Value()](const TaskContext&) {
      return detector->rows(picture->view(), is_full);
    };
    task.convert = [](napi_env env, EnvState&, std::vector<float>& rows) { return js::float32_array(env, rows); };
    task.is_beside = true;
    return task;
  });
}

Napi::Value load_face_detector(const Napi::CallbackInfo& info) {
  return start_job(info, [&] {
    Task<std::shared_ptr<FaceDetector>> task;
    task.run = [short_file = info[0].ToString().Utf8Value(),
                full_file = info[1].ToString().Utf8Value()](const TaskContext&) {
      return std::shared_ptr<FaceDetector>(FaceDetector::load(short_file, full_file));
    };
    task.convert = [](napi_env env, EnvState& state, std::shared_ptr<FaceDetector>& detector) {
      return construct(env, state.detector_constructor, detector);
    };
    task.is_beside = true;
    return task;
  });
}

Napi::Value align_one_face(const Napi::CallbackInfo& info) {
  try {
    const auto face = to_detection(info[0]);
    const double margin = info[1].ToNumber().DoubleValue();
    const auto similarity = align_face(face, margin, info[2].ToBoolean().Value());
    auto result = Napi::Object::New(info.Env());
    result.Set("a", similarity.a);
    result.Set("b", similarity.b);
    result.Set("tx", similarity.tx);
    result.Set("ty", similarity.ty);
    result.Set("side", similarity.side());
    result.Set("roll", align_face(face, margin).roll());
    result.Set("noseOffset", nose_offset(face));
    return result;
  } catch (const Error& error) {
    throw Napi::Error(info.Env(), to_js_error(info.Env(), error));
  }
}

Napi::Value cut_one_chip(const Napi::CallbackInfo& info) {
  return start_job(info, [&] {
    const auto similarity = read_object("cutChip", info[1], "similarity", [](ObjectReader& reader) {
      return Similarity{reader.number("a"), reader.number("b"), reader.number("tx"), reader.number("ty")};
    });
    Task<Chip> task;
    task.run = [picture = to_picture(info[0]), similarity,
                size = info[2].ToNumber().Int64Value()](const TaskContext&) {
      return cut_chip(picture->view(), similarity, size);
    };
    task.convert = [](napi_env env, EnvState&, Chip& chip) {
      return js::object(env, {{"rgb", js::uint8_array(env, chip.rgb)}, {"outside", js::number(env, chip.outside)}});
    };
    task.is_beside = true;
    return task;
  });
}

}  // namespace facellm

// NativeFaceDetector of lib/binding/native-faces.ts, and what cuts out the faces that it finds.
//   find(image, options)   [async]  on a side thread
//   rows(image, isFull)    [async]  on a side thread
#pragma once

#include <napi.h>

#include <memory>

#include "binding/engine_object.h"
#include "faces/face_detector.h"

namespace facellm {

class DetectorWrap : public Napi::ObjectWrap<DetectorWrap> {
 public:
  static void define(Napi::Env env, EnvState& state);

  explicit DetectorWrap(const Napi::CallbackInfo& info);

 private:
  Napi::Value find(const Napi::CallbackInfo& info);
  Napi::Value rows(const Napi::CallbackInfo& info);

  std::shared_ptr<FaceDetector> detector_;
};

Napi::Value load_face_detector(const Napi::CallbackInfo& info);  // [async] (shortFile, fullFile)
Napi::Value align_one_face(const Napi::CallbackInfo& info);      // [sync]  (face, margin, isTurned)
Napi::Value cut_one_chip(const Napi::CallbackInfo& info);        // [async] (image, similarity, size)

}  // namespace facellm

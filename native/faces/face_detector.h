// The face of this room towards the binding: all faces of a picture. No torch header.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/cancellation.h"
#include "faces/face.h"

namespace facellm {

// Which look at the picture a face comes from: the short network at the whole picture, the full one, the short one
// with a black border around the picture, the full one at overlapping squares.
enum class Pass { kShort, kFull, kBordered, kSquares };

struct FindOptions {
  // The full network even where the short one has found a large face.
  bool looks_for_all = false;
  bool looks_for_small = false;
  // Tries quarter turns.
  bool is_any_way_up = false;
  // Looks at each face once more, upright, for better points.
  bool refines = true;
  // Of faces that count; neither changes which passes are run, or any box.
  double least_short = 0.5, least_full = 0.6;
};

struct FoundFace {
  Detection detection;
  Pass pass = Pass::kShort;
  // The second look disagreed with the first, whose points are kept.
  bool is_uncertain = false;
};

struct FoundFaces {
  std::vector<FoundFace> faces;    // best first
  std::vector<Pass> passes;        // in their order
  int quarter_turns = 0;           // clockwise, that make the picture upright
};

// Computes on the calling thread alone, any number of which may use one detector.
class FaceDetector {
 public:
  // Weights of the two networks. Throws as Checkpoint::open.
  static std::unique_ptr<FaceDetector> load(const std::string& short_file, const std::string& full_file);
  ~FaceDetector();
  FaceDetector(const FaceDetector&) = delete;
  FaceDetector& operator=(const FaceDetector&) = delete;

  FoundFaces find(const PictureView& picture, const FindOptions& options, const Cancellation& cancellation) const;
  // Every row of a network for the whole picture (golden tests).
  std::vector<float> rows(const PictureView& picture, bool is_full) const;

 private:
  struct State;
  explicit FaceDetector(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace facellm

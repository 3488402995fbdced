// The passes: which network looks at which part of a picture, and what is made of their faces. Sources of the constants:
// docs/faces.md, where they were measured.
#include "faces/face_detector.h"

#include <algorithm>
#include <cmath>

#include "faces/blazeface.h"
#include "faces/chip.h"
#include "faces/letterbox.h"
#include "faces/similarity.h"
#include "image/limits.h"

namespace facellm {
namespace {

// Faces that decide which passes are run, whatever the caller's thresholds are.
constexpr double kLeastShort = 0.5, kLeastFull = 0.6;
// Of the longer side: a face as large as this makes the full network superfluous where one face is wanted.
constexpr double kLarge = 0.35;
constexpr double kSquare = 3.0 / 8;
// Boxes that end so near to an inner edge of a square are cut off by it.
constexpr double kEdge = 2;
// The second look sees 1.9 times a chip of margin 0.25; what it finds may differ from the first by so much.
constexpr double kRefineSides = 1.9 * 1.5, kMostSideChange = 1.4, kMostRollChange = 30 * 3.14159265358979323846 / 180;

int64_t longer(const PictureView& picture) { return std::max(picture.width, picture.height); }

View whole(const PictureView& picture, int quarter_turns) {
  return {0, 0, picture.width, picture.height, quarter_turns};
}

View bordered(const PictureView& picture, int quarter_turns) {
  const int64_t border = longer(picture) / 2;
  return {-border, -border, picture.width + 2 * border, picture.height + 2 * border, quarter_turns};
}

// First pixels of the squares along an edge.
std::vector<int64_t> starts(int64_t edge, int64_t side) {
  if (edge <= side) return {0};
  const int64_t count = (2 * (edge - side) + side - 1) / side + 1;
  std::vector<int64_t> result;
  for (int64_t i = 0; i < count; ++i) result.push_back((edge - side) * i / (count - 1));
  return result;
}

std::vector<View> squares(const PictureView& picture, int quarter_turns) {
  const auto side = std::max<int64_t>(std::llround(kSquare * static_cast<double>(longer(picture))), 1);
  std::vector<View> views;
  for (const int64_t top : starts(picture.height, side)) {
    for (const int64_t left : starts(picture.width, side)) {
      views.push_back({left, top, std::min(side, picture.width), std::min(side, picture.height), quarter_turns});
    }
  }
  return views;
}

bool is_cut(const Detection& face, const View& view, const PictureView& picture) {
  const auto left = static_cast<double>(view.left), top = static_cast<double>(view.top);
  const auto right = left + static_cast<double>(view.width), bottom = top + static_cast<double>(view.height);
  return (view.left > 0 && face.left < left + kEdge) || (view.top > 0 && face.top < top + kEdge) ||
         (view.left + view.width < picture.width && face.left + face.width > right - kEdge) ||
         (view.top + view.height < picture.height && face.top + face.height > bottom - kEdge);
}

double best_score(const std::vector<Detection>& faces) { return faces.empty() ? 0 : faces.front().score; }

}  // namespace

struct FaceDetector::State {
  BlazeFace short_network, full_network;

  // One view a call: what is found in it follows from it alone, whatever else there is to look at.
  std::vector<Detection> look(const PictureView& picture, const View& view, Network network) const {
    const int64_t size = input_size(network);
    const Letterbox letterbox(view, size);
    auto faces = detect(network, letterbox.filled(picture));
    for (auto& face : faces) face = letterbox.back(face);
    return faces;
  }

  const BlazeFace& of(Network network) const { return network == Network::kShort ? short_network : full_network; }

  std::vector<Detection> detect(Network network, const std::vector<float>& input) const {
    return blend(decode(network, of(network).forward(input.data()).data()));
  }

  // The same face, upright and alone.
  void refine(const PictureView& picture, FoundFace& face) const {
    const auto first = align_face(face.detection, (kRefineSides - 1) / 2);
    const int64_t size = input_size(Network::kShort);
    const auto chip = cut_chip(picture, first, size);
    const Letterbox letterbox({0, 0, size, size, 0}, size);
    const auto faces = detect(Network::kShort, letterbox.filled({chip.rgb.data(), size, size}));
    const auto found = std::find_if(faces.begin(), faces.end(), [](const auto& other) {
      return other.score >= kLeastShort && std::abs(other.left + other.width / 2 - 0.5) < other.width / 2 &&
             std::abs(other.top + other.height / 2 - 0.5) < other.height / 2;
    });
    if (found == faces.end()) return;
    Detection second = face.detection;
    for (size_t k = 0; k < kFacePoints; ++k) second.points[k] = first.back(found->points[k]);
    const auto now = align_face(second, (kRefineSides - 1) / 2);
    const double change = std::max(now.side() / first.side(), first.side() / now.side());
    const double turn = std::remainder(now.roll() - first.roll(), 2 * 3.14159265358979323846);
    face.is_uncertain = change >= kMostSideChange || std::abs(turn) >= kMostRollChange;
    if (!face.is_uncertain) face.detection.points = second.points;
  }
};

FaceDetector::FaceDetector(std::unique_ptr<State> state) : state_(std::move(state)) {}
FaceDetector::~FaceDetector() = default;

std::unique_ptr<FaceDetector> FaceDetector::load(const std::string& short_file, const std::string& full_file) {
  return std::unique_ptr<FaceDetector>(new FaceDetector(std::make_unique<State>(
      State{BlazeFace(Network::kShort, short_file), BlazeFace(Network::kFull, full_file)})));
}

FoundFaces FaceDetector::find(const PictureView& picture, const FindOptions& options,
                              const Cancellation& cancellation) const {
  check_image_size(picture.width, picture.height, "image");
  FoundFaces result;
  std::vector<FoundFace> all;
  bool has_default = false;
  double largest = 0;
  const auto take = [&](Pass pass, const std::vector<Detection>& faces) {
    const bool is_full = pass == Pass::kFull || pass == Pass::kSquares;
    for (const auto& face : faces) {
      if (face.score >= (is_full ? kLeastFull : kLeastShort)) {
        has_default = true;
        if (pass == Pass::kShort) largest = std::max({largest, face.width, face.height});
      }
      if (face.score >= (is_full ? options.least_full : options.least_short)) all.push_back({face, pass, false});
    }
    result.passes.push_back(pass);
    cancellation.check();
  };
  const auto look = [&](const View& view, Network network) { return state_->look(picture, view, network); };

  auto first = look(whole(picture, 0), Network::kShort);
  if (options.is_any_way_up) {
    double best = std::max(best_score(first), best_score(look(bordered(picture, 0), Network::kShort)));
    for (int turns = 1; turns < 4; ++turns) {
      auto faces = look(whole(picture, turns), Network::kShort);
      const double score = std::max(best_score(faces), best_score(look(bordered(picture, turns), Network::kShort)));
      cancellation.check();
      if (score <= best) continue;
      best = score, first = std::move(faces), result.quarter_turns = turns;
    }
  }
  const int turns = result.quarter_turns;
  take(Pass::kShort, first);
  if (options.looks_for_all || largest < kLarge * static_cast<double>(longer(picture))) {
    take(Pass::kFull, look(whole(picture, turns), Network::kFull));
  }
  if (!has_default) take(Pass::kBordered, look(bordered(picture, turns), Network::kShort));
  if (options.looks_for_small) {
    std::vector<Detection> found;
    for (const auto& view : squares(picture, turns)) {
      for (const auto& face : look(view, Network::kFull)) {
        if (!is_cut(face, view, picture)) found.push_back(face);
      }
      cancellation.check();
    }
    take(Pass::kSquares, found);
  }
  std::vector<Detection> candidates;
  for (const auto& face : all) candidates.push_back(face.detection);
  for (const auto& kept : drop_covered(candidates)) {
    const auto same = std::find_if(all.begin(), all.end(), [&](const auto& face) {
      return face.detection.score == kept.score && face.detection.left == kept.left && face.detection.top == kept.top;
    });
    result.faces.push_back(*same);
    if (options.refines) state_->refine(picture, result.faces.back());
    cancellation.check();
  }
  return result;
}

std::vector<float> FaceDetector::rows(const PictureView& picture, bool is_full) const {
  const auto network = is_full ? Network::kFull : Network::kShort;
  const int64_t size = input_size(network);
  return state_->of(network).forward(Letterbox(whole(picture, 0), size).filled(picture).data());
}

}  // namespace facellm

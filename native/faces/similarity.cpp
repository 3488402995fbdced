// The template: medians of BlazeFace's points over 420 chips of FairFace, in the unit square of a chip without margin.
// The eyes stand where dlib's template has them. The mouth keeps profiles from being blown up, which two eyes alone
// would do; nose and ears would make it worse.
#include "faces/similarity.h"

#include <cmath>

namespace facellm {
namespace {

struct Anchor {
  FacePoint point;
  Point place;
};
constexpr Anchor kTemplate[] = {
    {kRightEye, {0.2273, 0.2197}}, {kLeftEye, {0.7631, 0.2197}}, {kMouth, {0.4918, 0.8089}}};
constexpr double kAnchors = 3;

// Of a chip without margin: its side in sides of the box, and its middle from the box's in heights of the box.
constexpr double kBoxSide = 0.765, kBoxDown = -0.01;

// The chip about `middle` with this side, turned by `roll`.
Similarity square(Point middle, double side, double roll) {
  Similarity result;
  result.a = std::cos(roll) / side;
  result.b = -std::sin(roll) / side;
  result.tx = 0.5 - (result.a * middle.x - result.b * middle.y);
  result.ty = 0.5 - (result.b * middle.x + result.a * middle.y);
  return result;
}

}  // namespace

double Similarity::side() const { return 1 / std::hypot(a, b); }
double Similarity::roll() const { return -std::atan2(b, a); }

Similarity align_box(const Detection& face, double margin) {
  const double side = std::sqrt(face.width * face.height) * kBoxSide * (1 + 2 * margin);
  const Point middle{face.left + face.width / 2, face.top + face.height * (0.5 + kBoxDown)};
  return square(middle, side > 0 ? side : 1, 0);
}

Similarity align_face(const Detection& face, double margin, bool align) {
  Point from{}, to{};
  for (const auto& [point, place] : kTemplate) {
    from.x += face.points[point].x / kAnchors, from.y += face.points[point].y / kAnchors;
    to.x += (margin + place.x) / (1 + 2 * margin) / kAnchors;
    to.y += (margin + place.y) / (1 + 2 * margin) / kAnchors;
  }
  double same = 0, crossed = 0, spread = 0;
  for (const auto& [point, place] : kTemplate) {
    const Point s{face.points[point].x - from.x, face.points[point].y - from.y};
    const Point u{(margin + place.x) / (1 + 2 * margin) - to.x, (margin + place.y) / (1 + 2 * margin) - to.y};
    same += s.x * u.x + s.y * u.y;
    crossed += s.x * u.y - s.y * u.x;
    spread += s.x * s.x + s.y * s.y;
  }
  const auto& [right, left] = std::pair(face.points[kRightEye], face.points[kLeftEye]);
  const bool has_eyes = std::hypot(left.x - right.x, left.y - right.y) > 1e-6;
  Similarity result{same / spread, crossed / spread, 0, 0};
  if (!has_eyes || !(std::hypot(same, crossed) > 1e-9 * spread)) return align_box(face, margin);
  result.tx = to.x - (result.a * from.x - result.b * from.y);
  result.ty = to.y - (result.b * from.x + result.a * from.y);
  return align ? result : square(result.back({0.5, 0.5}), result.side(), 0);
}

double nose_offset(const Detection& face) {
  const auto &right = face.points[kRightEye], &left = face.points[kLeftEye], &nose = face.points[kNoseTip];
  const double x = left.x - right.x, y = left.y - right.y, square = x * x + y * y;
  if (!(square > 1e-12)) return 0;
  return ((nose.x - (left.x + right.x) / 2) * x + (nose.y - (left.y + right.y) / 2) * y) / square;
}

}  // namespace facellm

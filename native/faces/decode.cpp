#include "faces/decode.h"

#include <algorithm>
#include <cmath>

namespace facellm {
namespace {

constexpr double kMostCovered = 0.3;

struct Grid {
  int cells, anchors;
};

std::vector<Point> centres(std::initializer_list<Grid> grids) {
  std::vector<Point> result;
  for (const auto& [cells, count] : grids) {
    for (int y = 0; y < cells; ++y) {
      for (int x = 0; x < cells; ++x) {
        result.insert(result.end(), static_cast<size_t>(count), Point{(x + 0.5) / cells, (y + 0.5) / cells});
      }
    }
  }
  return result;
}

void sort_by_score(std::vector<Detection>& faces) {
  std::stable_sort(faces.begin(), faces.end(), [](const auto& a, const auto& b) { return a.score > b.score; });
}

Detection weighted_mean(const std::vector<Detection>& faces, double score) {
  Detection mean;
  double total = 0;
  for (const auto& face : faces) total += face.score;
  for (const auto& face : faces) {
    const double share = face.score / total;
    mean.left += share * face.left, mean.top += share * face.top;
    mean.width += share * face.width, mean.height += share * face.height;
    for (size_t k = 0; k < kFacePoints; ++k) {
      mean.points[k].x += share * face.points[k].x, mean.points[k].y += share * face.points[k].y;
    }
  }
  mean.score = score;
  return mean;
}

}  // namespace

const std::vector<Point>& anchors(Network network) {
  static const auto short_range = centres({{16, 2}, {8, 6}});
  static const auto full_range = centres({{48, 1}});
  return network == Network::kShort ? short_range : full_range;
}

std::vector<Detection> decode(Network network, const float* rows) {
  const auto& centre = anchors(network);
  const auto size = static_cast<double>(input_size(network));
  std::vector<Detection> faces;
  for (size_t i = 0; i < centre.size(); ++i) {
    const float* row = rows + static_cast<int64_t>(i) * kRowWidth;
    const double score = 1 / (1 + std::exp(-std::clamp<double>(row[0], -100, 100)));
    if (!(score >= kLeastScore)) continue;
    const auto at = [&](int64_t k) -> Point {
      return {row[k] / size + centre[i].x, row[k + 1] / size + centre[i].y};
    };
    Detection face;
    face.score = score;
    face.width = row[3] / size, face.height = row[4] / size;
    face.left = at(1).x - face.width / 2, face.top = at(1).y - face.height / 2;
    for (size_t k = 0; k < kFacePoints; ++k) face.points[k] = at(5 + 2 * static_cast<int64_t>(k));
    faces.push_back(face);
  }
  return faces;
}

double intersection_over_union(const Detection& a, const Detection& b) {
  const double width = std::min(a.left + a.width, b.left + b.width) - std::max(a.left, b.left);
  const double height = std::min(a.top + a.height, b.top + b.height) - std::max(a.top, b.top);
  if (!(width > 0 && height > 0)) return 0;
  const double common = width * height;
  return common / (a.width * a.height + b.width * b.height - common);
}

std::vector<Detection> blend(std::vector<Detection> faces) {
  sort_by_score(faces);
  std::vector<Detection> result;
  while (!faces.empty()) {
    const auto best = faces.front();
    const auto apart = std::stable_partition(faces.begin() + 1, faces.end(), [&](const auto& face) {
      return intersection_over_union(best, face) > kMostCovered;
    });
    result.push_back(weighted_mean({faces.begin(), apart}, best.score));
    faces.erase(faces.begin(), apart);
  }
  return result;
}

std::vector<Detection> drop_covered(std::vector<Detection> faces) {
  sort_by_score(faces);
  std::vector<Detection> result;
  for (const auto& face : faces) {
    const bool is_covered = std::any_of(result.begin(), result.end(), [&](const auto& better) {
      return intersection_over_union(better, face) > kMostCovered;
    });
    if (!is_covered) result.push_back(face);
  }
  return result;
}

}  // namespace facellm

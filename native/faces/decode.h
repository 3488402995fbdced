// From a network's rows to faces: anchors, decoding, suppression. Torch-free.
#pragma once

#include <cstdint>
#include <vector>

#include "faces/face.h"

namespace facellm {

// For faces near the camera, and for the whole room.
enum class Network { kShort, kFull };

// Pixels of the square that the network sees.
constexpr int64_t input_size(Network network) { return network == Network::kShort ? 128 : 192; }

// Numbers of a row: a score's logit, the box, the points.
constexpr int64_t kRowWidth = 1 + 4 + 2 * kFacePoints;

// Centres in the unit square, row by row of the cells: 896 for the short network, 2,304 for the full one.
const std::vector<Point>& anchors(Network network);

// Candidates of at least this score are averaged; a caller's threshold comes afterwards, so that it moves no box.
constexpr double kLeastScore = 0.3;

// rows [anchors, kRowWidth] -> faces in the network's unit square, scores of at least kLeastScore.
std::vector<Detection> decode(Network network, const float* rows);

double intersection_over_union(const Detection& a, const Detection& b);

// BlazeFace's blending: the best face becomes the mean of all that cover it by more than 0.3, weighted by their
// scores, and keeps its own score. Best first.
std::vector<Detection> blend(std::vector<Detection> faces);

// The best of those that cover each other by more than 0.3. Best first.
std::vector<Detection> drop_covered(std::vector<Detection> faces);

}  // namespace facellm

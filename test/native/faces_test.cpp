// Anchors, decoding, letterbox, suppression, similarity and chips, without weights.
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "core/error.h"
#include "faces/chip.h"
#include "faces/decode.h"
#include "faces/letterbox.h"
#include "faces/similarity.h"

namespace facellm {
namespace {

Detection box(double left, double top, double side, double score) {
  Detection face;
  face.left = left, face.top = top, face.width = face.height = side, face.score = score;
  return face;
}

TEST(Faces, AnchorsAreTheCentresOfTheirCells) {
  const auto& near = anchors(Network::kShort);
  ASSERT_EQ(near.size(), 896U);
  EXPECT_DOUBLE_EQ(near.front().x, 0.5 / 16);
  EXPECT_DOUBLE_EQ(near[1].x, 0.5 / 16);
  EXPECT_DOUBLE_EQ(near[2].x, 1.5 / 16);
  EXPECT_DOUBLE_EQ(near[512].x, 0.5 / 8);
  EXPECT_DOUBLE_EQ(near.back().y, 7.5 / 8);
  const auto& far = anchors(Network::kFull);
  ASSERT_EQ(far.size(), 2304U);
  EXPECT_DOUBLE_EQ(far[1].x, 1.5 / 48);
  EXPECT_DOUBLE_EQ(far[1].y, 0.5 / 48);
  EXPECT_DOUBLE_EQ(far.back().x, 47.5 / 48);
}

TEST(Faces, ARowIsReadFromItsAnchor) {
  std::vector<float> rows(896 * kRowWidth, 0.F);
  for (size_t i = 0; i < 896; ++i) rows[i * kRowWidth] = -200;
  float* row = &rows[10 * kRowWidth];
  row[0] = 200, row[1] = 12.8F, row[2] = -12.8F, row[3] = 64, row[4] = 32, row[5] = 128;
  const auto faces = decode(Network::kShort, rows.data());
  ASSERT_EQ(faces.size(), 1U);
  const auto centre = anchors(Network::kShort)[10];
  EXPECT_NEAR(faces[0].score, 1, 1e-12);
  EXPECT_NEAR(faces[0].left, centre.x + 0.1 - 0.25, 1e-6);
  EXPECT_NEAR(faces[0].top, centre.y - 0.1 - 0.125, 1e-6);
  EXPECT_NEAR(faces[0].points[kRightEye].x, centre.x + 1, 1e-6);
}

TEST(Faces, ALetterboxLeadsBack) {
  std::mt19937 random(1);
  const auto draw = [&](int64_t most) { return static_cast<int64_t>(random() % static_cast<uint64_t>(most)); };
  for (int i = 0; i < 200; ++i) {
    const View view{draw(100) - 50, draw(100) - 50, 1 + draw(4000), 1 + draw(4000), static_cast<int>(draw(4))};
    const int64_t size = i % 2 == 0 ? 128 : 192;
    const Letterbox letterbox(view, size);
    // The middle stays, and the longer side fills the square.
    const auto middle = letterbox.back(Point{0.5, 0.5});
    const double pixel = static_cast<double>(std::max(view.width, view.height)) / static_cast<double>(size);
    EXPECT_NEAR(middle.x, static_cast<double>(view.left) + static_cast<double>(view.width) / 2, pixel * 0.51 * (1 + pixel));
    const auto a = letterbox.back(Point{0, 0}), b = letterbox.back(Point{1, 1});
    const double reach = std::max(std::abs(a.x - b.x), std::abs(a.y - b.y));
    EXPECT_GE(reach, static_cast<double>(std::max(view.width, view.height)) - 0.01);
  }
}

TEST(Faces, AMarkStaysWhereItIsInEachTurn) {
  // A white square in a black picture is found again by its centre of mass.
  const int64_t width = 96, height = 64;
  std::vector<uint8_t> rgb(static_cast<size_t>(width * height * 3), 0);
  for (int64_t y = 10; y < 18; ++y) {
    for (int64_t x = 70; x < 78; ++x) std::fill_n(&rgb[static_cast<size_t>((y * width + x) * 3)], 3, 255);
  }
  for (int turns = 0; turns < 4; ++turns) {
    for (const int64_t border : {0, 48}) {
      const Letterbox letterbox({-border, -border, width + 2 * border, height + 2 * border, turns}, 128);
      std::vector<float> out(3 * 128 * 128);
      letterbox.fill({rgb.data(), width, height}, out.data());
      double mass = 0, x = 0, y = 0;
      for (int j = 0; j < 128; ++j) {
        for (int i = 0; i < 128; ++i) {
          const double light = (out[static_cast<size_t>(j * 128 + i)] + 1) / 2;
          mass += light, x += light * (i + 0.5) / 128, y += light * (j + 0.5) / 128;
        }
      }
      const auto back = letterbox.back(Point{x / mass, y / mass});
      EXPECT_NEAR(back.x, 74, 0.5) << turns << " turns, border " << border;
      EXPECT_NEAR(back.y, 14, 0.5) << turns << " turns, border " << border;
    }
  }
}

TEST(Faces, OverlappingFacesBecomeTheirWeightedMean) {
  const auto faces = blend({box(0.5, 0.5, 0.2, 0.4), box(0.1, 0.1, 0.2, 0.9), box(0.12, 0.1, 0.2, 0.3)});
  ASSERT_EQ(faces.size(), 2U);
  EXPECT_NEAR(faces[0].left, (0.9 * 0.1 + 0.3 * 0.12) / 1.2, 1e-12);
  EXPECT_DOUBLE_EQ(faces[0].score, 0.9);
  EXPECT_DOUBLE_EQ(faces[1].left, 0.5);
  const auto kept = drop_covered({box(0.12, 0.1, 0.2, 0.3), box(0.1, 0.1, 0.2, 0.9)});
  ASSERT_EQ(kept.size(), 1U);
  EXPECT_DOUBLE_EQ(kept[0].left, 0.1);
}

// A face whose points are the template's, turned, scaled and shifted.
Detection placed(double roll, double scale, double dx, double dy, bool is_mirrored = false) {
  const Point eyes[] = {{0.2273, 0.2197}, {0.7631, 0.2197}}, mouth{0.4918, 0.8089};
  const auto place = [&](Point p) -> Point {
    const double x = (is_mirrored ? 1 - p.x : p.x) * scale, y = p.y * scale;
    return {std::cos(roll) * x - std::sin(roll) * y + dx, std::sin(roll) * x + std::cos(roll) * y + dy};
  };
  Detection face;
  face.points[kRightEye] = place(eyes[is_mirrored ? 1 : 0]);
  face.points[kLeftEye] = place(eyes[is_mirrored ? 0 : 1]);
  face.points[kNoseTip] = place({0.5, 0.5});
  face.points[kMouth] = place(mouth);
  return face;
}

TEST(Faces, TheSimilarityIsExact) {
  std::mt19937 random(2);
  std::uniform_real_distribution<double> unit(-1, 1);
  for (int i = 0; i < 200; ++i) {
    const double roll = 3 * unit(random), scale = 100 + 90 * unit(random), dx = 500 * unit(random), dy = 500 * unit(random);
    const double margin = 0.6 + 0.6 * unit(random);
    const auto similarity = align_face(placed(roll, scale, dx, dy), margin);
    EXPECT_NEAR(similarity.side(), scale * (1 + 2 * margin), 1e-6);
    EXPECT_NEAR(std::remainder(similarity.roll() - roll, 2 * M_PI), 0, 1e-9);
    const auto corner = similarity.back({margin / (1 + 2 * margin), margin / (1 + 2 * margin)});
    EXPECT_NEAR(corner.x, dx, 1e-6);
    EXPECT_NEAR(corner.y, dy, 1e-6);
    const auto again = similarity.forward(similarity.back({0.3, 0.8}));
    EXPECT_NEAR(again.x, 0.3, 1e-9);
    const auto upright = align_face(placed(roll, scale, dx, dy), margin, false);
    EXPECT_NEAR(upright.side(), similarity.side(), 1e-6);
    EXPECT_NEAR(upright.back({0.5, 0.5}).x, similarity.back({0.5, 0.5}).x, 1e-6);
    EXPECT_NEAR(upright.b, 0, 1e-12);
  }
}

TEST(Faces, AFaceWithoutEyesIsCutByItsBox) {
  Detection face = box(100, 50, 80, 1);
  for (auto& point : face.points) point = {140, 90};
  const auto similarity = align_face(face, 0);
  EXPECT_NEAR(similarity.side(), 0.765 * 80, 1e-9);
  EXPECT_NEAR(similarity.back({0.5, 0.5}).x, 140, 1e-9);
  EXPECT_DOUBLE_EQ(nose_offset(face), 0);
}

TEST(Faces, ANoseTowardsThePersonsLeftIsPositive) {
  auto face = placed(0.4, 100, 0, 0);
  face.points[kNoseTip] = face.points[kLeftEye];
  EXPECT_NEAR(nose_offset(face), 0.5, 1e-9);
  face.points[kNoseTip] = face.points[kRightEye];
  EXPECT_NEAR(nose_offset(face), -0.5, 1e-9);
}

TEST(Faces, AChipOfTheWholePictureIsThePicture) {
  const int64_t size = 40;
  std::mt19937 random(3);
  std::vector<uint8_t> rgb(static_cast<size_t>(size * size * 3));
  for (auto& value : rgb) value = static_cast<uint8_t>(random());
  const PictureView picture{rgb.data(), size, size};
  const auto chip = cut_chip(picture, {1.0 / size, 0, 0, 0}, size);
  EXPECT_EQ(chip.rgb, rgb);
  EXPECT_DOUBLE_EQ(chip.outside, 0);
  // Shrunk by a whole number: the mean of each block.
  const auto small = cut_chip(picture, {1.0 / size, 0, 0, 0}, size / 4);
  double mean = 0;
  for (int64_t y = 0; y < 4; ++y) {
    for (int64_t x = 0; x < 4; ++x) mean += rgb[static_cast<size_t>((y * size + x) * 3)] / 16.0;
  }
  EXPECT_NEAR(small.rgb[0], mean, 0.51);
  // Half of it beside the picture.
  const auto beside = cut_chip(picture, {1.0 / size, 0, 0.5, 0}, size);
  EXPECT_NEAR(beside.outside, 0.5, 0.02);
  EXPECT_EQ(beside.rgb[0], 0);
}

TEST(Faces, AChipFarAwayIsBlackAndOneOfNoSizeIsRefused) {
  const std::vector<uint8_t> rgb(3 * 4 * 4, 255);
  const auto chip = cut_chip({rgb.data(), 4, 4}, {1e-3, 0, 1e6, 0}, 8);
  EXPECT_DOUBLE_EQ(chip.outside, 1);
  EXPECT_THROW(cut_chip({rgb.data(), 4, 4}, {0, 0, 0, 0}, 8), Error);
  EXPECT_THROW(cut_chip({rgb.data(), 4, 4}, {1, 0, 0, 0}, 0), Error);
}

}  // namespace
}  // namespace facellm

// What a file of the detector's weights must be to be taken.
#include "faces/blazeface.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "core/error.h"

namespace facellm {
namespace {

namespace fs = std::filesystem;

// Zeros for the whole network of the short range, of so many channels; after its first block, of `narrow`.
std::string short_network(int64_t wide, int64_t narrow) {
  std::string header = R"({"__metadata__":{"format":"pt"})";
  int64_t bytes = 0;
  const auto add = [&](const std::string& name, const std::vector<int64_t>& shape) {
    std::string sides;
    int64_t count = 1;
    for (const auto side : shape) sides += (sides.empty() ? "" : ",") + std::to_string(side), count *= side;
    header += ",\"" + name + R"(":{"dtype":"F32","shape":[)" + sides + R"(],"data_offsets":[)" + std::to_string(bytes) + "," +
              std::to_string(bytes + 4 * count) + "]}";
    bytes += 4 * count;
  };
  const auto layer = [&](const std::string& name, int64_t out, int64_t in, int64_t size) {
    add(name + ".weight", {out, in, size, size}), add(name + ".bias", {out});
  };
  layer("conv2d", wide, 3, 5);
  for (int i = 0; i < 16; ++i) {
    const int64_t in = i == 0 ? wide : narrow;
    layer(i == 0 ? "depthwise_conv2d" : "depthwise_conv2d_" + std::to_string(i), in, 1, 3);
    layer("conv2d_" + std::to_string(i + 1), narrow, in, 1);
  }
  for (const auto& [cells, anchors] : {std::pair{"_8", 2}, std::pair{"_16", 6}}) {
    layer(std::string("classificator") + cells, anchors, narrow, 1);
    layer(std::string("regressor") + cells, 16 * anchors, narrow, 1);
  }
  header += "}";
  header.resize((header.size() + 7) / 8 * 8, ' ');
  const uint64_t length = header.size();
  std::string file(8, '\0');
  std::memcpy(file.data(), &length, 8);
  return file + header + std::string(static_cast<size_t>(bytes), '\0');
}

TEST(BlazeFace, ABlockOfFewerChannelsThanItsInputIsRefused) {
  std::string folder = (fs::temp_directory_path() / "facellm-blazeface-XXXXXX").string();
  ASSERT_NE(::mkdtemp(folder.data()), nullptr);
  const auto open = [&](int64_t wide, int64_t narrow) {
    const auto path = (fs::path(folder) / (std::to_string(wide) + "-" + std::to_string(narrow) + ".safetensors")).string();
    const auto bytes = short_network(wide, narrow);
    std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<long>(bytes.size()));
    BlazeFace(Network::kShort, path);
  };
  EXPECT_NO_THROW(open(16, 16));
  EXPECT_NO_THROW(open(16, 32));
  try {
    open(32, 16);
    ADD_FAILURE() << "opened";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kCheckpointInvalid);
    EXPECT_NE(std::string(error.what()).find("layers does not fit"), std::string::npos) << error.what();
  }
  fs::remove_all(folder);
}

}  // namespace
}  // namespace facellm

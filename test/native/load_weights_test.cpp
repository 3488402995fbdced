// native/model: weights arrive whole, in both dtypes, and a file that
// changes under the loader's hands is a typed error.
#include "model/load_weights.h"

#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <limits>
#include <memory>

#include "core/error.h"
#include "devices.h"
#include "model/copy_weights.h"
#include "tiny_model.h"

namespace facellm {
namespace {

namespace fs = std::filesystem;

class LoadWeightsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "facellm-weights-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    file_ = (folder_ / "model.safetensors").string();
    fs::copy_file(kTinyWeights, file_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::unique_ptr<InternVl> empty_model(at::ScalarType dtype, at::Device device = at::kCPU) const {
    const auto request = tiny_model(file_, "");
    return std::make_unique<InternVl>(request.config, true, device, dtype);
  }

  fs::path folder_;
  std::string file_;
  const c10::NoGradGuard no_grad_;
};

const auto kNoProgress = [](int64_t, int64_t) {};

TEST_F(LoadWeightsTest, EveryParameterIsTheCheckpointsInEitherDtype) {
  const auto checkpoint = Checkpoint::open({file_}, {});
  for (const auto& device : test_devices()) {
    for (const auto dtype : {at::kBFloat16, at::kFloat}) {
      const auto model = empty_model(dtype, at::Device(device));
      int64_t last = 0, total = 0;
      load_weights(*model, checkpoint, [&](int64_t done, int64_t all) { last = done, total = all; }, {});
      for (const auto& [name, tensor] : model->parameters()) {
        EXPECT_TRUE(at::equal(tensor.cpu(), checkpoint.view(name).to(dtype))) << name << " on " << device;
      }
      EXPECT_GT(total, 0);
      EXPECT_EQ(last, total);
    }
  }
}

TEST_F(LoadWeightsTest, AFileCutShortAfterItsHeaderWasCheckedIsATypedError) {
  const auto size = fs::file_size(file_);
  for (const auto dtype : {at::kBFloat16, at::kFloat}) {
    for (const uintmax_t left : {size - 1, size / 2, uintmax_t{0}}) {
      fs::copy_file(kTinyWeights, file_, fs::copy_options::overwrite_existing);
      const auto checkpoint = Checkpoint::open({file_}, {});
      const auto model = empty_model(dtype);
      fs::resize_file(file_, left);
      try {
        load_weights(*model, checkpoint, kNoProgress, {});
        FAIL() << "loaded " << left << " of " << size << " bytes";
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::kCheckpointInvalid);
        EXPECT_NE(error.message().find("was cut short to"), std::string::npos) << error.message();
        EXPECT_NE(error.message().find(file_), std::string::npos) << error.message();
      }
    }
  }
}

// 80 MB, which no single piece holds.
constexpr int64_t kCount = (80 << 20) / 2 + 3;

// Writes one tensor x that ends in `last`, and returns its values.
at::Tensor write_large(const std::string& file, float last) {
  auto values = at::arange(kCount).remainder(251).to(at::kBFloat16);
  values[kCount - 1] = last;
  const std::string header = R"({"x":{"dtype":"BF16","shape":[)" + std::to_string(kCount) +
                             R"(],"data_offsets":[0,)" + std::to_string(2 * kCount) + "]}}";
  const uint64_t length = header.size();
  std::ofstream out(file, std::ios::binary);
  out.write(reinterpret_cast<const char*>(&length), 8);
  out.write(header.data(), static_cast<long>(length));
  out.write(static_cast<const char*>(values.const_data_ptr()), 2 * kCount);
  return values;
}

WeightCopy copy_of_x(const Checkpoint& checkpoint, const at::Tensor& target) {
  const auto& entry = checkpoint.entries().find("x")->second;
  return {target, "x", entry.dtype, entry.file, entry.begin};
}

TEST_F(LoadWeightsTest, LargeTensorsAreReadInPiecesAndScannedToTheEnd) {
  const auto values = write_large(file_, std::numeric_limits<float>::quiet_NaN());
  const auto checkpoint = Checkpoint::open({file_}, {});
  for (const auto& device : test_devices()) {
    for (const auto dtype : {at::kBFloat16, at::kFloat}) {
      const auto target = at::zeros({kCount}, at::TensorOptions(dtype).device(at::Device(device)));
      const auto bad = copy_weights(checkpoint, {copy_of_x(checkpoint, target)}, kNoProgress, {});
      EXPECT_EQ(bad, std::vector<std::string>{"x"});
      EXPECT_TRUE(at::equal(target.cpu().narrow(0, 0, kCount - 1), values.narrow(0, 0, kCount - 1).to(dtype))) << device;
    }
  }
}

// On one thread: how far the others have come when progress is told is up to the system.
TEST_F(LoadWeightsTest, ProgressIsToldOnTheWayWhereStoppingAndAShrinkingFileAreNoticed) {
  write_large(file_, 0);
  const auto checkpoint = Checkpoint::open({file_}, {});
  const std::vector<WeightCopy> copies{copy_of_x(checkpoint, at::zeros({kCount}, at::kBFloat16))};
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  std::vector<int64_t> told;
  copy_weights(checkpoint, copies, [&](int64_t done, int64_t) { told.push_back(done); }, {});
  ASSERT_EQ(told.size(), 2u);
  EXPECT_LT(told[0], told[1]);
  EXPECT_EQ(told[1], 2 * kCount);
  Cancellation cancellation;
  int64_t last = 0;
  const auto cancel = [&](int64_t done, int64_t) { last = done, cancellation.request(); };
  EXPECT_THROW(copy_weights(checkpoint, copies, cancel, cancellation), Error);
  EXPECT_EQ(last, told[0]);
  EXPECT_THROW(
      copy_weights(checkpoint, copies, [&](int64_t done, int64_t) { fs::resize_file(file_, done); }, {}),
      Error);
  at::set_num_threads(threads);
}

// Whichever thread meets the end of the file, the caller gets the error.
TEST_F(LoadWeightsTest, AnErrorInAnyThreadReachesTheCaller) {
  write_large(file_, 0);
  const auto checkpoint = Checkpoint::open({file_}, {});
  fs::resize_file(file_, 60 << 20);
  const auto target = at::zeros({kCount}, at::kBFloat16);
  try {
    copy_weights(checkpoint, {copy_of_x(checkpoint, target)}, kNoProgress, {});
    FAIL() << "loaded a file that was cut short";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kCheckpointInvalid);
  }
}

}  // namespace
}  // namespace facellm

// checkpoint/file_mapping and model/map_weights: a file as memory, and what becomes of it when the file changes.
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <numeric>

#include "checkpoint/file_mapping.h"
#include "core/error.h"
#include "model/load_weights.h"
#include "tiny_model.h"

namespace facellm {
namespace {

namespace fs = std::filesystem;

class MappingTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "facellm-mapping-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    file_ = (folder_ / "model.safetensors").string();
  }
  void TearDown() override { fs::remove_all(folder_); }

  void write_ones(size_t bytes) const {
    std::ofstream(file_, std::ios::binary) << std::string(bytes, '\1');
  }
  static int64_t sum(const FileMapping& mapping, size_t bytes) {
    return std::accumulate(mapping.data(), mapping.data() + bytes, int64_t{0},
                           [](int64_t sum, std::byte value) { return sum + std::to_integer<int>(value); });
  }

  // Whether the address belongs to the mapping of file_ (Linux).
  bool lies_in_a_file(const void* address) const {
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) {
      uintptr_t first = 0, last = 0;
      std::sscanf(line.c_str(), "%lx-%lx", &first, &last);
      const auto at = reinterpret_cast<uintptr_t>(address);
      if (at >= first && at < last) return line.ends_with(file_);
    }
    return false;
  }

  fs::path folder_;
  std::string file_;
  const c10::NoGradGuard no_grad_;
};

// In processes of their own, which a signal ends.
using MappingDeathTest = MappingTest;

constexpr size_t kBytes = 1 << 20, kLeft = 40'000;  // not a whole number of pages

TEST_F(MappingTest, AFileCutShortReadsAsZerosAndIsTold) {
  write_ones(kBytes);
  const auto mapping = FileMapping::map(DataFile::open(file_));
  const auto time = fs::last_write_time(file_);
  EXPECT_EQ(sum(*mapping, kBytes), static_cast<int64_t>(kBytes));
  mapping->require_unchanged();
  fs::resize_file(file_, kLeft);
  EXPECT_EQ(sum(*mapping, kBytes), static_cast<int64_t>(kLeft));
  // Even if all is put back before anyone asks: what was read then was not the file.
  write_ones(kBytes);
  fs::last_write_time(file_, time);
  EXPECT_THROW(mapping->require_unchanged(), Error);
}

TEST_F(MappingTest, AChangeThatWasSeenIsRemembered) {
  write_ones(kBytes);
  const auto time = fs::last_write_time(file_);
  const auto mapping = FileMapping::map(DataFile::open(file_));
  fs::resize_file(file_, kBytes + 1);
  EXPECT_TRUE(mapping->has_changed());
  fs::resize_file(file_, kBytes);
  fs::last_write_time(file_, time);
  EXPECT_TRUE(mapping->has_changed());
  EXPECT_THROW(mapping->require_unchanged(), Error);
  EXPECT_FALSE(FileMapping::map(DataFile::open(file_))->has_changed());
}

TEST_F(MappingTest, OneFilesDamageIsNotAnothers) {
  write_ones(kBytes);
  const auto whole = (folder_ / "other").string();
  fs::copy_file(file_, whole);
  const auto first = FileMapping::map(DataFile::open(file_));
  const auto second = FileMapping::map(DataFile::open(whole));
  fs::resize_file(file_, 0);
  EXPECT_EQ(sum(*first, kBytes), 0);
  EXPECT_EQ(sum(*second, kBytes), static_cast<int64_t>(kBytes));
  EXPECT_THROW(first->require_unchanged(), Error);
  second->require_unchanged();
}

TEST_F(MappingTest, WritingToTheMemoryLeavesTheFileAlone) {
  write_ones(kBytes);
  const auto mapping = FileMapping::map(DataFile::open(file_));
  mapping->data()[5] = std::byte{7};
  EXPECT_EQ(sum(*FileMapping::map(DataFile::open(file_)), kBytes), static_cast<int64_t>(kBytes));
  mapping->require_unchanged();
}

TEST_F(MappingDeathTest, WhatIsLeftOutTakesNoNeighbourAlong) {
  write_ones(kBytes);
  const auto mapping = FileMapping::map(DataFile::open(file_));
  mapping->leave_out(5000, 50'000);
  mapping->leave_out(60'000, 60'001);  // not one whole page
  const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  for (const size_t at : {size_t{0}, (5000 + page - 1) / page * page - 1, 50'000 / page * page, size_t{60'000}, kBytes - 1}) {
    EXPECT_EQ(mapping->data()[at], std::byte{1}) << at;
  }
  EXPECT_EXIT(std::exit(std::to_integer<int>(mapping->data()[5000 + page])), ::testing::KilledBySignal(SIGSEGV), "");
  fs::resize_file(file_, 0);
  EXPECT_EQ(mapping->data()[60'000], std::byte{0});
  EXPECT_THROW(mapping->require_unchanged(), Error);
}

// More mappings one after another than the table of guarded ranges has places.
TEST_F(MappingTest, GuardedRangesAreGivenBack) {
  write_ones(kBytes);
  const auto data = DataFile::open(file_);
  for (int i = 0; i < 3000; ++i) ASSERT_NE(FileMapping::map(data), nullptr) << i;
}

TEST_F(MappingTest, WhereNoRangeIsLeftNothingIsMapped) {
  write_ones(kBytes);
  const auto data = DataFile::open(file_);
  std::vector<std::shared_ptr<const FileMapping>> all;
  while (auto mapping = FileMapping::map(data)) all.push_back(std::move(mapping));
  EXPECT_EQ(all.size(), 1024u);
}

TEST_F(MappingDeathTest, ABusErrorElsewhereEndsTheProcess) {
  write_ones(kBytes);
  const auto mapping = FileMapping::map(DataFile::open(file_));
  EXPECT_EXIT(std::raise(SIGBUS), ::testing::KilledBySignal(SIGBUS), "");
  const auto unguarded = (folder_ / "unguarded").string();
  fs::copy_file(file_, unguarded);
  const auto touch_behind_its_end = [&] {
    const int descriptor = ::open(unguarded.c_str(), O_RDONLY);
    const auto* bytes =
        static_cast<const volatile char*>(::mmap(nullptr, kBytes, PROT_READ, MAP_PRIVATE, descriptor, 0));
    fs::resize_file(unguarded, 0);
    std::exit(bytes[0]);
  };
  EXPECT_EXIT(touch_behind_its_end(), ::testing::KilledBySignal(SIGBUS), "");
}

TEST_F(MappingDeathTest, TheHandlerThatWasThereBeforeIsAskedAsItWantsToBe) {
  write_ones(kBytes);
  const auto with_previous = [&](auto install) {
    std::signal(SIGBUS, SIG_DFL);
    install();
    const auto mapping = FileMapping::map(DataFile::open(file_));
    std::raise(SIGBUS);
    std::exit(3);
  };
  EXPECT_EXIT(with_previous([] { std::signal(SIGBUS, SIG_IGN); }), ::testing::ExitedWithCode(3), "");
  EXPECT_EXIT(with_previous([] { std::signal(SIGBUS, [](int) { std::_Exit(4); }); }), ::testing::ExitedWithCode(4), "");
  // Once, as it asked for; then the default.
  EXPECT_EXIT(with_previous([] {
                struct sigaction action {};
                action.sa_handler = [](int) { std::raise(SIGBUS); };
                action.sa_flags = static_cast<int>(SA_RESETHAND);
                ::sigaction(SIGBUS, &action, nullptr);
              }),
              ::testing::KilledBySignal(SIGBUS), "");
}

TEST_F(MappingDeathTest, OursIsPutBackWhereItWasTakenAwayAndNotOverAnothers) {
  write_ones(kBytes);
  const auto data = DataFile::open(file_);
  const auto run = [&](void (*later)(int), int code) {
    const auto first = FileMapping::map(data);
    std::signal(SIGBUS, later);
    const auto second = FileMapping::map(data);
    if (!second) std::exit(code);
    fs::resize_file(file_, 0);
    std::exit(second->data()[0] == std::byte{0} && second->has_changed() ? 5 : 6);
  };
  EXPECT_EXIT(run([](int) {}, 4), ::testing::ExitedWithCode(4), "");
  EXPECT_EXIT(run(SIG_DFL, 4), ::testing::ExitedWithCode(5), "");
}

TEST_F(MappingTest, WeightsInPlaceAreTheCheckpoints) {
  fs::copy_file(kTinyWeights, file_);
  const auto checkpoint = Checkpoint::open({file_}, {});
  const InternVl model(tiny_model(file_, "").config, true, at::kCPU, at::kBFloat16);
  int64_t last = 0, total = 0;
  const auto files = load_weights(
      model, checkpoint, [&](int64_t done, int64_t all) { last = done, total = all; }, {}, {true, {}});
  for (const auto& [name, tensor] : model.parameters()) {
    EXPECT_TRUE(at::equal(tensor, checkpoint.view(name))) << name;
    const bool is_joined = name.find("q_proj") != name.npos || name.find("k_proj") != name.npos ||
                           name.find("v_proj") != name.npos;
    EXPECT_EQ(lies_in_a_file(tensor.const_data_ptr()), !is_joined) << name;
  }
  EXPECT_EQ(last, total);
  files.require_unchanged();
  fs::resize_file(file_, 1000);
  EXPECT_THROW(files.require_unchanged(), Error);
}

TEST_F(MappingTest, AFileCutShortWhileItIsLoadedIsATypedError) {
  for (const uintmax_t left : {uintmax_t{0}, fs::file_size(kTinyWeights) / 2}) {
    fs::copy_file(kTinyWeights, file_, fs::copy_options::overwrite_existing);
    const auto checkpoint = Checkpoint::open({file_}, {});
    const InternVl model(tiny_model(file_, "").config, true, at::kCPU, at::kBFloat16);
    fs::resize_file(file_, left);
    try {
      load_weights(model, checkpoint, [](int64_t, int64_t) {}, {}, {true, {}});
      FAIL() << "loaded a file that was cut short";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kCheckpointInvalid);
    }
  }
}

}  // namespace
}  // namespace facellm

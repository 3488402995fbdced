// A training state that cannot be read to its end leaves the trainer as it was.
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "core/error.h"
#include "tiny_model.h"
#include "training/trainer.h"

namespace {

std::atomic<int> reads_until_failure{-1};  // below 0: the disk works

}  // namespace

// Stands before the C library's: a disk that fails at a chosen read.
extern "C" ssize_t pread(int descriptor, void* target, size_t bytes, off_t offset) {
  if (reads_until_failure >= 0 && reads_until_failure-- == 0) {
    errno = EIO;
    return -1;
  }
  return ::syscall(SYS_pread64, descriptor, target, bytes, offset);
}

namespace facellm {
namespace {

std::unique_ptr<Trainer> trainer() {
  TrainerRequest request{};
  request.load = tiny_model(kTinyWeights, "fp32");
  request.modules = {{"language_model.model.layers.0.self_attn.q_proj", 2, 1.0},
                     {"language_model.model.layers.1.mlp.down_proj", 2, 1.0}};
  request.seed = 3;
  request.beta1 = 0.9;
  request.beta2 = 0.999;
  request.eps = 1e-8;
  return Trainer::create(request, nullptr, [](int64_t, int64_t) {}, {});
}

void learn(Trainer& own, int32_t id) {
  MicroBatch batch{};
  batch.samples = {{{id, id + 1, id + 2}, {-100, id + 1, id + 2}, 1.0, {}}};
  batch.denominator = 2;
  batch.is_last = true;
  own.accumulate(batch, {});
  own.update({1e-2, 0}, {});
}

std::string content(const std::string& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

TEST(RestoreState, ChangesNothingWhereAReadFailsHoweverLate) {
  const auto folder = std::filesystem::temp_directory_path() / ("facellm-restore-" + std::to_string(::getpid()));
  std::filesystem::create_directory(folder);
  const auto saved = (folder / "saved").string(), other = (folder / "other").string();
  const auto own = trainer();
  learn(*own, 10);
  own->save_state(saved);
  learn(*own, 20);
  own->save_state(other);
  const auto before = content(other);
  int failures = 0;
  for (int read = 0;; ++read) {
    reads_until_failure = read;
    try {
      own->restore_state(saved, 1);
      reads_until_failure = -1;
      break;
    } catch (const Error& error) {
      reads_until_failure = -1;
      ++failures;
      EXPECT_NE(error.code(), ErrorCode::kInternal) << error.message();
    }
    own->save_state(other);
    EXPECT_EQ(content(other), before) << "after failing at read " << read;
    EXPECT_EQ(own->info().updates, 2);
  }
  // The header, four matrices and their two moments each.
  EXPECT_GE(failures, 13);
  own->save_state(other);
  EXPECT_EQ(content(other), content(saved));
  EXPECT_EQ(own->info().updates, 1);
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace facellm

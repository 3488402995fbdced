// All weights are cut into pieces in file order, of which each thread takes the next one: it reads it
// to where it belongs, unless it lies there already, and scans it for NaN while the processor's cache holds
// it. No thread waits for another. The disk is asked for what comes a while later. Pieces for a GPU go there by way of
// pinned memory, while the next one is read.
#include "model/copy_weights.h"

#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <atomic>
#include <optional>

#include "core/populate.h"
#include "model/load_request.h"
#include "model/pinned_upload.h"
#include "model/scan_finite.h"

namespace facellm {
namespace {

// Bytes of the file. Small enough for a core's cache, large enough that calls cost nothing.
constexpr int64_t kCopyPiece = 1 << 20;
// For a GPU: at its bus's full rate, which pieces of less do not reach.
constexpr int64_t kUploadPiece = 4 << 20;
// Pieces that the disk is asked for in advance.
constexpr size_t kCopiesAhead = 64;

struct CopyPiece {
  size_t copy;
  int64_t first;  // element of the target
  int64_t count;
};

int64_t item_bytes(const WeightCopy& copy) {
  return static_cast<int64_t>(c10::elementSize(copy.stored));
}

uint64_t file_begin(const WeightCopy& copy, const CopyPiece& piece) {
  return copy.begin + static_cast<uint64_t>(piece.first * item_bytes(copy));
}

std::vector<CopyPiece> cut(const std::vector<WeightCopy>& copies) {
  std::vector<CopyPiece> pieces;
  for (size_t i = 0; i < copies.size(); ++i) {
    const int64_t bytes = copies[i].target.is_cuda() ? kUploadPiece : kCopyPiece;
    const int64_t step = bytes / item_bytes(copies[i]), count = copies[i].target.numel();
    for (int64_t first = 0; first < count; first += step) {
      pieces.push_back({i, first, std::min(step, count - first)});
    }
  }
  return pieces;
}

void read_piece(const Checkpoint& checkpoint, const WeightCopy& copy, const CopyPiece& piece, const at::Tensor& target) {
  checkpoint.read(copy.file, file_begin(copy, piece), static_cast<uint64_t>(piece.count * item_bytes(copy)),
                  target.mutable_data_ptr());
}

// Returns false if the piece holds NaN or infinity. `upload`: the thread's own, made when it is first needed.
bool fill_piece(const Checkpoint& checkpoint, const WeightCopy& copy, const CopyPiece& piece,
                std::optional<PinnedUpload>& upload) {
  auto target = copy.target.view({-1}).narrow(0, piece.first, piece.count);
  if (copy.is_in_place) {
    populate_for_reading(target.const_data_ptr(), target.nbytes());
    return is_finite(target.const_data_ptr(), piece.count, copy.stored);
  }
  if (target.is_cuda()) {
    if (!upload) upload.emplace(target.device(), kUploadPiece);
    const auto staged = upload->next(piece.count, copy.stored);
    read_piece(checkpoint, copy, piece, staged);
    upload->send(staged, target);
    return is_finite(staged.const_data_ptr(), piece.count, copy.stored);
  }
  if (target.is_cpu()) populate(target.mutable_data_ptr(), target.nbytes());
  const bool goes_straight = target.is_cpu() && target.scalar_type() == copy.stored;
  const auto staged = goes_straight ? target : at::empty({piece.count}, copy.stored);
  read_piece(checkpoint, copy, piece, staged);
  if (!goes_straight) target.copy_(staged);
  return is_finite(staged.const_data_ptr(), piece.count, copy.stored);
}

}  // namespace

std::vector<std::string> copy_weights(
    const Checkpoint& checkpoint, const std::vector<WeightCopy>& copies,
    const std::function<void(int64_t done, int64_t total)>& progress,
    const Cancellation& cancellation) {
  const auto pieces = cut(copies);
  const auto bytes = [&](const CopyPiece& piece) { return piece.count * item_bytes(copies[piece.copy]); };
  const auto prefetch = [&](size_t i) {
    if (i >= pieces.size()) return;
    const auto& copy = copies[pieces[i].copy];
    const uint64_t begin = file_begin(copy, pieces[i]);
    checkpoint.prefetch(copy.file, begin, begin + static_cast<uint64_t>(bytes(pieces[i])));
  };
  int64_t total = 0, told = 0;
  for (const auto& piece : pieces) total += bytes(piece);
  for (size_t i = 0; i < kCopiesAhead; ++i) prefetch(i);
  std::vector<std::atomic<bool>> is_bad(copies.size());
  std::atomic<size_t> next{0};
  std::atomic<int64_t> done{0};
  // As many equal shares as threads; which pieces a share gets is settled on the way. The first share
  // is the calling thread's.
  at::parallel_for(0, at::get_num_threads(), 1, [&](int64_t share, int64_t) {
    const c10::NoGradGuard no_grad;  // holds for one thread only
    std::optional<PinnedUpload> upload;
    try {
      for (size_t i = next++; i < pieces.size(); i = next++) {
        cancellation.check();
        prefetch(i + kCopiesAhead);
        const auto& piece = pieces[i];
        if (!fill_piece(checkpoint, copies[piece.copy], piece, upload)) is_bad[piece.copy] = true;
        done += bytes(piece);
        if (share == 0 && done - told >= kReportBytes) progress(told = done, total);
      }
      if (upload) upload->finish();
    } catch (...) {
      next = pieces.size();  // the other threads end too
      throw;
    }
  });
  cancellation.check();
  if (told < total) progress(total, total);
  std::vector<std::string> bad;
  for (size_t i = 0; i < copies.size(); ++i) {
    // Parts of one tensor follow each other.
    if (is_bad[i] && (bad.empty() || bad.back() != copies[i].source)) bad.push_back(copies[i].source);
  }
  return bad;
}

}  // namespace facellm

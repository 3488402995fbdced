// All weights are cut into pieces in file order. A batch of pieces is shared out among the threads,
// each taking the next one: it reads a piece to where it belongs and scans it for NaN while the
// processor's cache still holds it. The disk is asked for the next batch meanwhile.
#include "model/copy_weights.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>

namespace facellm {
namespace {

// Bytes of the file. Small enough for a core's cache, large enough that calls cost nothing.
constexpr int64_t kPiece = 1 << 20;
constexpr int64_t kBatch = 64 << 20;

struct Piece {
  size_t copy;
  int64_t first;  // element of the target
  int64_t count;
};

int64_t item_bytes(const WeightCopy& copy) {
  return static_cast<int64_t>(c10::elementSize(copy.stored));
}

uint64_t file_begin(const WeightCopy& copy, const Piece& piece) {
  return copy.begin + static_cast<uint64_t>(piece.first * item_bytes(copy));
}

std::vector<Piece> cut(const std::vector<WeightCopy>& copies) {
  std::vector<Piece> pieces;
  for (size_t i = 0; i < copies.size(); ++i) {
    const int64_t step = kPiece / item_bytes(copies[i]), count = copies[i].target.numel();
    for (int64_t first = 0; first < count; first += step) {
      pieces.push_back({i, first, std::min(step, count - first)});
    }
  }
  return pieces;
}

// A float whose exponent bits are all ones is NaN or infinite.
template <typename Bits>
bool scan_finite(const void* data, int64_t count, Bits exponent_mask) {
  const auto* values = static_cast<const Bits*>(data);
  Bits found = 0;
  for (int64_t i = 0; i < count; ++i) {
    found |= static_cast<Bits>((values[i] & exponent_mask) == exponent_mask);
  }
  return found == 0;
}

bool is_finite(const void* data, int64_t count, at::ScalarType dtype) {
  switch (dtype) {
    case at::kBFloat16: return scan_finite<uint16_t>(data, count, 0x7f80);
    case at::kHalf: return scan_finite<uint16_t>(data, count, 0x7c00);
    default: return scan_finite<uint32_t>(data, count, 0x7f800000u);
  }
}

// Returns false if the piece holds NaN or infinity.
bool copy_piece(const Checkpoint& checkpoint, const WeightCopy& copy, const Piece& piece) {
  auto target = copy.target.view({-1}).narrow(0, piece.first, piece.count);
  const bool goes_straight = target.is_cpu() && target.scalar_type() == copy.stored;
  const auto staged = goes_straight ? target : at::empty({piece.count}, copy.stored);
  checkpoint.read(copy.file, file_begin(copy, piece),
                  static_cast<uint64_t>(piece.count * item_bytes(copy)), staged.mutable_data_ptr());
  if (!goes_straight) target.copy_(staged);
  return is_finite(staged.const_data_ptr(), piece.count, copy.stored);
}

// Where a batch that starts with piece `first` ends.
size_t batch_end(const std::vector<WeightCopy>& copies, const std::vector<Piece>& pieces,
                 size_t first) {
  size_t end = first;
  for (int64_t bytes = 0; end < pieces.size() && bytes < kBatch; ++end) {
    bytes += pieces[end].count * item_bytes(copies[pieces[end].copy]);
  }
  return end;
}

}  // namespace

std::vector<std::string> copy_weights(
    const Checkpoint& checkpoint, const std::vector<WeightCopy>& copies,
    const std::function<void(int64_t done, int64_t total)>& progress,
    const Cancellation& cancellation) {
  int64_t total = 0, done = 0;
  for (const auto& copy : copies) total += copy.target.numel() * item_bytes(copy);
  const auto pieces = cut(copies);
  const auto prefetch = [&](size_t first, size_t last) {
    for (size_t i = first; i < last; ++i) {
      const auto& copy = copies[pieces[i].copy];
      const uint64_t begin = file_begin(copy, pieces[i]);
      checkpoint.prefetch(copy.file, begin,
                          begin + static_cast<uint64_t>(pieces[i].count * item_bytes(copy)));
    }
  };
  std::vector<std::atomic<bool>> is_bad(copies.size());
  size_t end = batch_end(copies, pieces, 0);
  for (size_t begin = 0; begin < pieces.size(); begin = end, end = batch_end(copies, pieces, end)) {
    cancellation.check();
    prefetch(end, batch_end(copies, pieces, end));
    std::atomic<size_t> next{begin};
    // As many equal shares as threads; which pieces a share gets is settled on the way.
    at::parallel_for(0, at::get_num_threads(), 1, [&](int64_t, int64_t) {
      for (size_t i = next++; i < end; i = next++) {
        if (!copy_piece(checkpoint, copies[pieces[i].copy], pieces[i])) is_bad[pieces[i].copy] = true;
      }
    });
    for (size_t i = begin; i < end; ++i) done += pieces[i].count * item_bytes(copies[pieces[i].copy]);
    progress(done, total);
  }
  std::vector<std::string> bad;
  for (size_t i = 0; i < copies.size(); ++i) {
    // Parts of one tensor follow each other.
    if (is_bad[i] && (bad.empty() || bad.back() != copies[i].source)) bad.push_back(copies[i].source);
  }
  return bad;
}

}  // namespace facellm

#include "generation/most_probable.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>

#include "generation/score_scan.h"

namespace facellm {
namespace {

// A row's scores go in so many pieces, whoever computes them: whole blocks of the scan.
constexpr int64_t kPieces = 8;

struct Piece {
  int32_t id;
  float max;
  double sum;
  bool is_number;
};

int64_t piece_size(int64_t vocab) {
  const auto block = static_cast<int64_t>(kScanBlock);
  return ((vocab + kPieces - 1) / kPieces + block - 1) / block * block;
}

std::span<const float> as_floats(const float* scores, int64_t count, std::vector<float>&) {
  return {scores, static_cast<size_t>(count)};
}

std::span<const float> as_floats(const at::BFloat16* scores, int64_t count, std::vector<float>& widened) {
  widened.assign(scores, scores + count);
  return widened;
}

template <typename T>
Piece scan_piece(const T* row, int64_t begin, int64_t count) {
  thread_local std::vector<float> widened;
  thread_local ScoreScan scan;
  const auto scores = as_floats(row + begin, count, widened);
  scan_scores(scores, 1, scan);
  size_t i = 0;
  for (const auto& block : scan.blocks) {
    if (block.max == scan.max) break;
    i += kScanBlock;
  }
  while (i < scores.size() && scores[i] != scan.max) ++i;
  return {static_cast<int32_t>(begin + static_cast<int64_t>(i)), scan.max, scan.sum, scan.is_number};
}

template <typename T>
std::vector<Piece> scan_rows(const T* logits, int64_t stride, int64_t rows, int64_t vocab, int64_t pieces) {
  const int64_t size = piece_size(vocab);
  std::vector<Piece> found(static_cast<size_t>(rows * pieces));
  at::parallel_for(0, rows * pieces, 1, [&](int64_t first, int64_t end) {
    for (int64_t i = first; i < end; ++i) {
      const int64_t begin = i % pieces * size;
      found[static_cast<size_t>(i)] = scan_piece(logits + i / pieces * stride, begin, std::min(size, vocab - begin));
    }
  });
  return found;
}

}  // namespace

std::vector<MostProbable> most_probable(const at::Tensor& logits) {
  TORCH_CHECK(logits.stride(1) == 1, "most_probable: expected contiguous rows");
  const int64_t rows = logits.size(0), vocab = logits.size(1), stride = logits.stride(0);
  const int64_t pieces = (vocab + piece_size(vocab) - 1) / piece_size(vocab);
  const auto found = logits.scalar_type() == at::kFloat
                         ? scan_rows(logits.const_data_ptr<float>(), stride, rows, vocab, pieces)
                         : scan_rows(logits.const_data_ptr<at::BFloat16>(), stride, rows, vocab, pieces);
  std::vector<MostProbable> result;
  for (int64_t r = 0; r < rows; ++r) {
    const auto own = std::span(found).subspan(static_cast<size_t>(r * pieces), static_cast<size_t>(pieces));
    const auto best = std::ranges::max_element(own, {}, &Piece::max);  // the first of equals
    const bool is_number = std::ranges::all_of(own, &Piece::is_number) && std::isfinite(best->max);
    double sum = 0;
    for (const auto& piece : own) sum += piece.sum * std::exp(static_cast<double>(piece.max) - best->max);
    result.push_back({best->id, static_cast<float>(-std::log(sum)), is_number});
  }
  return result;
}

}  // namespace facellm

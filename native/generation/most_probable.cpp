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

Piece scan_piece(const at::Tensor& row, int64_t begin, int64_t count) {
  thread_local std::vector<float> widened;
  thread_local ScoreScan scan;
  std::span<const float> scores;
  if (row.scalar_type() == at::kFloat) {
    scores = {row.const_data_ptr<float>() + begin, static_cast<size_t>(count)};
  } else {
    const auto* const from = row.const_data_ptr<at::BFloat16>() + begin;
    widened.assign(from, from + count);
    scores = widened;
  }
  scan_scores(scores, 1, scan);
  size_t i = 0;
  for (const auto& block : scan.blocks) {
    if (block.max == scan.max) break;
    i += kScanBlock;
  }
  while (i < scores.size() && scores[i] != scan.max) ++i;
  return {static_cast<int32_t>(begin + static_cast<int64_t>(i)), scan.max, scan.sum, scan.is_number};
}

}  // namespace

std::vector<MostProbable> most_probable(const at::Tensor& logits) {
  const int64_t rows = logits.size(0), vocab = logits.size(1), size = piece_size(vocab), pieces = (vocab + size - 1) / size;
  std::vector<Piece> found(static_cast<size_t>(rows * pieces));
  at::parallel_for(0, rows * pieces, 1, [&](int64_t first, int64_t end) {
    for (int64_t i = first; i < end; ++i) {
      const int64_t begin = i % pieces * size;
      found[static_cast<size_t>(i)] = scan_piece(logits.select(0, i / pieces), begin, std::min(size, vocab - begin));
    }
  });
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

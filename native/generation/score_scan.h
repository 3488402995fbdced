// One pass over a vocabulary of scores, at the speed of memory: maxima and sums of exponentials block by block,
// from which the choice of a token looks at few blocks only. Torch-free.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace facellm {

// Scores a block; the last block is shorter.
constexpr size_t kScanBlock = 256;

struct ScanBlock {
  float max;  // -infinity where all scores are
  float sum;  // of exp((score - max) / temperature); 0 where max is -infinity
};

struct ScoreScan {
  std::vector<ScanBlock> blocks;
  float max = 0;
  double sum = 0;          // of exp((score - max) / temperature) over all
  bool is_number = false;  // neither NaN nor +infinity among the scores; -infinity (forbidden) may be
};

// Fills `scan`, whose memory is reused. Exponentials are within 2e-7 of themselves, relatively.
void scan_scores(std::span<const float> scores, float temperature, ScoreScan& scan);

}  // namespace facellm

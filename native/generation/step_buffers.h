// The numbers of a device-resident step, at addresses that never change: allocated once, so that a captured step finds
// them. What the host tells goes over in one transfer from pinned memory; what was chosen comes back in one.
#pragma once

#include <ATen/ATen.h>

#include <span>

#include "generation/active_request.h"
#include "generation/choice_rules.h"
#include "kernels/advance_rows/advance_rows.h"
#include "kernels/choose_tokens/choose_tokens.h"
#include "model/pinned_upload.h"

namespace facellm {

class StepBuffers {
 public:
  // Single scores that rows may change in one step, all together.
  static constexpr int64_t kMostEdits = 16384;

  StepBuffers(c10::Device device, int64_t most_rows, int64_t most_blocks, int64_t vocabulary);

  // Everything about the rows: last ids, positions, rules, blocks. The places behind them up to `places` are empty.
  void upload(std::span<Row* const> rows, int64_t places);
  // Their blocks alone: a row has got one more, everything else the device knows better.
  void upload_blocks(std::span<Row* const> rows);

  // Views of the first `places`.
  at::Tensor ids(int64_t places) const { return part(ids_, at::kLong, places); }
  RowNumbers numbers(int64_t places) const;
  ChoiceRows choice_rows(int64_t places) const;
  ChosenRows chosen(int64_t places) const;

  int64_t chosen_bytes() const { return positions_; }
  // Into pinned memory of chosen_bytes(); it is there once the stream has come to it.
  void download_chosen(const at::Tensor& target) const { at::Tensor(target).copy_(memory_.narrow(0, 0, positions_), /*non_blocking=*/true); }
  struct HostChosen {
    const int64_t* ids;
    const float* log_probs;
    const int32_t* statuses;
  };
  HostChosen read(const at::Tensor& downloaded) const;

 private:
  at::Tensor part(int64_t begin, at::ScalarType dtype, int64_t count) const;
  void write_blocks(std::span<Row* const> rows, uint8_t* table) const;

  int64_t most_rows_, most_blocks_, vocabulary_;
  // Where each part begins, in bytes. What comes back stands in front, what is told for blocks and edits behind.
  int64_t ids_ = 0, log_probs_, statuses_, positions_, numbers_, rules_, table_, edits_, end_;
  at::Tensor memory_;          // uint8, all parts
  at::Tensor lengths_, slots_;  // int64: the device's own
  PinnedUpload pinned_;
};

}  // namespace facellm

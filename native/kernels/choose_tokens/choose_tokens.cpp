#include "kernels/choose_tokens/choose_tokens.h"

#include "kernels/common/checks.h"
#include "kernels/common/cuda_launch.h"

namespace facellm {
namespace {

void check(const at::Tensor& logits, const ChoiceRows& rows, const ChosenRows& chosen) {
  KernelChecks checks("choose_tokens");
  checks.require_float(logits, "logits");
  checks.require(logits.dim() == 2 && logits.is_contiguous(), "logits: expected contiguous rows");
  checks.finish();
  const int64_t count = logits.size(0);
  checks.require_shape(rows.rules, {count * static_cast<int64_t>(sizeof(ChoiceRule))}, "rules");
  for (const auto& [x, dtype, name] :
       {std::tuple(rows.numbers, at::kLong, "numbers"), std::tuple(chosen.ids, at::kLong, "ids"),
        std::tuple(chosen.log_probs, at::kFloat, "log_probs"), std::tuple(chosen.statuses, at::kInt, "statuses")}) {
    checks.require_shape(x, {count}, name);
    if (x.scalar_type() != dtype || x.device() != logits.device() || !x.is_contiguous()) {
      checks.add(std::string(name) + ": expected contiguous " + c10::toString(dtype) + " on " + logits.device().str());
    }
  }
  if (rows.masks.defined()) checks.require_shape(rows.masks, {rows.masks.size(0), (logits.size(1) + 31) / 32}, "masks");
  checks.finish();
}

#if FACELLM_CUDA
void fused(const at::Tensor& logits, const ChoiceRows& rows, const ChosenRows& chosen) {
  const int64_t count = logits.size(0), vocabulary = logits.size(1);
  if (count == 0) return;
  const int64_t chunks = (vocabulary + kChoiceChunk - 1) / kChoiceChunk;
  const auto scores = at::empty({count, vocabulary}, logits.options().dtype(at::kFloat));
  const auto scans = at::empty({2, count, chunks, 2}, logits.options().dtype(at::kFloat));
  const auto scan = [&](int64_t i) { return reinterpret_cast<ChunkScan*>(scans[i].mutable_data_ptr<float>()); };
  const ChooseTokens work{
      logits.const_data_ptr(),
      static_cast<const ChoiceRule*>(rows.rules.const_data_ptr()),
      rows.numbers.const_data_ptr<int64_t>(),
      static_cast<const ScoreEdit*>(rows.edits.const_data_ptr()),
      rows.masks.defined() ? static_cast<const uint32_t*>(rows.masks.const_data_ptr()) : nullptr,
      scores.mutable_data_ptr<float>(),
      scan(0),
      scan(1),
      chosen.ids.mutable_data_ptr<int64_t>(),
      chosen.log_probs.mutable_data_ptr<float>(),
      chosen.statuses.mutable_data_ptr<int32_t>(),
      count,
      vocabulary};
  cuda_launch("choose_tokens", logits, [&](cudaStream_t stream) {
    choose_tokens_cuda(work, logits.scalar_type() == at::kBFloat16, stream);
  });
}
#endif

}  // namespace

void choose_tokens(const at::Tensor& logits, const ChoiceRows& rows, const ChosenRows& chosen) {
  check(logits, rows, chosen);
#if FACELLM_CUDA
  if (logits.is_cuda()) return fused(logits, rows, chosen);
#endif
  throw Error(ErrorCode::kDeviceNoCuda, "choose_tokens: a kernel for CUDA alone; on the host generation/sampler.h chooses");
}

}  // namespace facellm

#include "layers/paged_attention.h"

#include "layers/attention.h"

namespace facellm {
namespace {

at::Tensor rows_of(const at::Tensor& pool, const Segment& segment) {
  const auto rows = segment.first_slot >= 0 ? pool.narrow(1, segment.first_slot, segment.kv_length)
                                            : pool.index_select(1, segment.slots);
  return rows.unsqueeze(0);
}

}  // namespace

void complete_masks(std::vector<Segment>& segments, at::Device device) {
  for (auto& segment : segments) {
    if (segment.mask.defined() || segment.count == 1 || segment.count == segment.kv_length) continue;
    const auto slots = at::arange(segment.kv_length, at::TensorOptions(at::kLong).device(device));
    const auto own = slots.narrow(0, segment.kv_length - segment.count, segment.count);
    segment.mask = slots.unsqueeze(0) <= own.unsqueeze(1);
  }
}

at::Tensor paged_attention(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& values,
                           const std::vector<Segment>& segments) {
  std::vector<at::Tensor> outputs;
  for (const auto& segment : segments) {
    const bool is_causal = !segment.mask.defined() && segment.count > 1;
    outputs.push_back(attention(q.narrow(1, segment.begin, segment.count).unsqueeze(0), rows_of(keys, segment),
                                rows_of(values, segment), segment.mask, is_causal)
                          .squeeze(0));
  }
  return outputs.size() == 1 ? outputs[0] : at::cat(outputs);
}

}  // namespace facellm

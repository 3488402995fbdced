#include "layers/paged_attention.h"

#include "layers/attention.h"

namespace facellm {
namespace {

at::Tensor rows_of(const at::Tensor& pool, const Segment& segment) {
  const auto rows = segment.first_slot >= 0 ? pool.narrow(1, segment.first_slot, segment.kv_length)
                                            : pool.index_select(1, segment.slots);
  return rows.unsqueeze(0);
}

// [count, H * E]
at::Tensor attend(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& values, const Segment& segment) {
  const bool is_causal = !segment.mask.defined() && segment.count > 1;
  return attention(q.narrow(1, segment.begin, segment.count).unsqueeze(0), rows_of(keys, segment), rows_of(values, segment),
                   segment.mask, is_causal)
      .squeeze(0);
}

}  // namespace

void complete_masks(std::vector<Segment>& segments, at::Device device) {
  if (device.is_cpu()) return;
  for (auto& segment : segments) {
    if (segment.mask.defined() || segment.count == 1 || segment.count == segment.kv_length) continue;
    segment.mask = causal_mask(segment.count, segment.kv_length, device);
  }
}

at::Tensor paged_attention(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& values,
                           const std::vector<Segment>& segments) {
  std::vector<at::Tensor> outputs;
  for (const auto& segment : segments) outputs.push_back(attend(q, keys, values, segment));
  return outputs.size() == 1 ? outputs[0] : at::cat(outputs);
}

at::Tensor paged_attention(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& values,
                           const std::vector<Segment>& segments, const SingleTokens& singles) {
  if (!singles.places.defined()) return paged_decode_attention(q, keys, values, singles.rows);
  const auto alone = paged_decode_attention(q.index_select(1, singles.places), keys, values, singles.rows);
  auto out = at::empty({q.size(1), q.size(0) * q.size(2)}, q.options());
  out.index_copy_(0, singles.places, alone);
  for (const auto& segment : segments) {
    out.narrow(0, segment.begin, segment.count).copy_(attend(q, keys, values, segment));
  }
  return out;
}

}  // namespace facellm

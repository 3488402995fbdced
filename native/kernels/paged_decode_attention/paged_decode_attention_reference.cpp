#include <vector>

#include "kernels/paged_decode_attention/paged_decode_attention.h"

namespace facellm {

at::Tensor paged_decode_attention_reference(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& values,
                                            const DecodeRows& rows) {
  const int64_t heads = q.size(0), kv_heads = keys.size(0), head_dim = q.size(2);
  const auto lengths = rows.lengths.cpu(), table = rows.block_table.cpu();
  auto out = at::zeros({q.size(1), heads * head_dim}, q.options());
  for (int64_t r = 0; r < q.size(1); ++r) {
    const int64_t length = lengths.const_data_ptr<int64_t>()[r];
    if (length == 0) continue;
    std::vector<int64_t> slots;
    for (int64_t t = 0; t < length; ++t) {
      const int64_t block = table.const_data_ptr<int32_t>()[r * table.size(1) + t / rows.block_size];
      slots.push_back(block * rows.block_size + t % rows.block_size);
    }
    const auto at_slots = at::tensor(slots, at::kLong).to(q.device());
    // The heads of a group are the rows of one attention.
    const auto grouped = q.select(1, r).reshape({1, kv_heads, heads / kv_heads, head_dim});
    const auto attended =
        at::scaled_dot_product_attention(grouped, keys.index_select(1, at_slots).unsqueeze(0),
                                         values.index_select(1, at_slots).unsqueeze(0));
    out.select(0, r).copy_(attended.reshape({heads * head_dim}));
  }
  return out;
}

}  // namespace facellm

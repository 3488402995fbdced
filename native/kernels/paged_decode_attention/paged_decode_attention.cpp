#include "kernels/paged_decode_attention/paged_decode_attention.h"

#include <algorithm>
#include <cmath>

#include "kernels/common/checks.h"
#include "kernels/common/cuda_launch.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/row_work.h"
#include "kernels/cpu/scratch.h"
#include "kernels/paged_decode_attention/paged_decode_attention_cuda.h"
#include "kernels/paged_decode_attention/paged_decode_groups_cuda.h"

namespace facellm {
namespace {

void check(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& values, const DecodeRows& rows) {
  KernelChecks checks("paged_decode_attention");
  checks.require_float(q, "q");
  checks.require(q.dim() == 3 && keys.dim() == 3, "q, keys: expected 3 dimensions");
  checks.finish();
  const int64_t heads = q.size(0), count = q.size(1), head_dim = q.size(2), kv_heads = keys.size(0);
  checks.require(kv_heads > 0 && heads % kv_heads == 0, "q: expected a multiple of the key heads");
  for (const auto& [pool, name] : {std::pair(keys, "keys"), std::pair(values, "values")}) {
    checks.require_same(pool, q, name);
    checks.require_shape(pool, {kv_heads, keys.size(1), head_dim}, name);
    checks.require(pool.stride(-1) == 1, "keys, values: expected a contiguous last dimension");
  }
  checks.require(rows.block_table.dim() == 2 && rows.block_table.size(0) == count &&
                     rows.block_table.scalar_type() == at::kInt && rows.block_table.is_contiguous() &&
                     rows.block_table.device() == q.device(),
                 "block_table: expected contiguous int32 [rows, blocks] on the device of q");
  checks.require_shape(rows.lengths, {count}, "lengths");
  checks.require(rows.lengths.scalar_type() == at::kLong && rows.lengths.is_contiguous() &&
                     rows.lengths.device() == q.device(),
                 "lengths: expected contiguous int64 on the device of q");
  checks.require(rows.block_size > 0 && rows.splits > 0, "block_size, splits: expected positive numbers");
  checks.require(rows.splits <= kMostSplits, "splits: expected 32 at most");
  checks.finish();
  if (!q.is_cpu()) return;
  const auto* const lengths = rows.lengths.const_data_ptr<int64_t>();
  const auto* const table = rows.block_table.const_data_ptr<int32_t>();
  const int64_t most_blocks = rows.block_table.size(1), blocks = keys.size(1) / rows.block_size;
  for (int64_t r = 0; r < count; ++r) {
    const int64_t own = (lengths[r] + rows.block_size - 1) / rows.block_size;
    const auto is_there = [&](int32_t block) { return block >= 0 && block < blocks; };
    const auto* const first = table + r * most_blocks;
    if (lengths[r] >= 0 && own <= most_blocks && std::all_of(first, first + own, is_there)) continue;
    checks.add("lengths, block_table: row " + std::to_string(r) + " sees slots that it has no block for, or that the pool has not");
  }
  checks.finish();
}

at::Tensor on_cpu(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& values, const DecodeRows& rows) {
  const int64_t heads = q.size(0), count = q.size(1), head_dim = q.size(2), kv_heads = keys.size(0);
  const auto queries = q.stride(2) == 1 ? q : q.contiguous();
  const auto out = at::empty({count, heads * head_dim}, q.options());
  const auto* const lengths = rows.lengths.const_data_ptr<int64_t>();
  const int64_t most = count == 0 ? 0 : *std::max_element(lengths, lengths + count);
  const DecodeAttention job{queries.const_data_ptr(),
                            keys.const_data_ptr(),
                            values.const_data_ptr(),
                            out.mutable_data_ptr(),
                            rows.block_table.const_data_ptr<int32_t>(),
                            lengths,
                            rows.block_size,
                            rows.block_table.size(1),
                            heads,
                            kv_heads,
                            head_dim,
                            queries.stride(0),
                            queries.stride(1),
                            keys.stride(0),
                            keys.stride(1),
                            values.stride(0),
                            values.stride(1),
                            static_cast<float>(1 / std::sqrt(static_cast<double>(head_dim))),
                            q.scalar_type() == at::kBFloat16};
  const auto& kernels = row_kernels();
  for_rows(count * kv_heads, heads / kv_heads * head_dim * most, [&](int64_t begin, int64_t end) {
    kernels.attend(&job, work_scratch(kernels.attend_bytes(&job, most)), begin, end);
  });
  return out;
}

#if FACELLM_CUDA
at::Tensor fused(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& values, const DecodeRows& rows) {
  const int64_t heads = q.size(0), count = q.size(1), head_dim = q.size(2);
  if (!takes_decode_heads(heads, keys.size(0), head_dim)) {
    throw Error(ErrorCode::kInvalidArgument, "paged_decode_attention: too many heads a key head, or too large ones");
  }
  const auto queries = q.contiguous();
  const auto out = at::empty({count, heads * head_dim}, q.options());
  if (out.numel() == 0) return out;
  const auto fp32 = q.options().dtype(at::kFloat);
  const auto sums = at::empty({count, heads, rows.splits, head_dim}, fp32);
  const auto maxima = at::empty({count, heads, rows.splits}, fp32), totals = at::empty_like(maxima);
  const PagedDecodeShape shape{count,           heads,
                               keys.size(0),    head_dim,
                               keys.size(1),    rows.block_size,
                               rows.block_table.size(1), rows.splits,
                               keys.stride(0),  keys.stride(1),
                               values.stride(0), values.stride(1)};
  const bool is_bf16 = q.scalar_type() == at::kBFloat16;
  const void *const query = queries.const_data_ptr(), *const key = keys.const_data_ptr(), *const value = values.const_data_ptr();
  const auto* const table = rows.block_table.const_data_ptr<int32_t>();
  const auto* const lengths = rows.lengths.const_data_ptr<int64_t>();
  float *const sum = sums.mutable_data_ptr<float>(), *const most = maxima.mutable_data_ptr<float>();
  float* const total = totals.mutable_data_ptr<float>();
  const bool is_grouped = is_bf16 && takes_paged_decode_groups(query, key, value, shape);
  cuda_launch("paged_decode_attention", q, [&](cudaStream_t stream) {
    void* const result = out.mutable_data_ptr();
    if (is_grouped) {
      paged_decode_groups_cuda(query, key, value, table, lengths, sum, most, total, result, shape, stream);
    } else {
      paged_decode_attention_cuda(query, key, value, table, lengths, sum, most, total, result, shape, is_bf16, stream);
    }
  });
  return out;
}
#endif

}  // namespace

bool takes_decode_heads(int64_t heads, int64_t kv_heads, int64_t head_dim) {
  const int64_t group = heads / kv_heads;
  return group <= kMostGroup && group * head_dim <= kMostGroupElements;
}

int64_t decode_splits(int64_t rows, int64_t kv_heads) {
  // Asked once: it takes a millisecond.
  static const int64_t multiprocessors = [] {
#if FACELLM_CUDA
    cudaDeviceProp properties{};
    if (cudaGetDeviceProperties(&properties, 0) == cudaSuccess) return static_cast<int64_t>(properties.multiProcessorCount);
#endif
    return int64_t{1};
  }();
  return std::clamp<int64_t>(2 * multiprocessors / (rows * kv_heads), 1, kMostSplits);
}

at::Tensor paged_decode_attention(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& values,
                                  const DecodeRows& rows) {
  check(q, keys, values, rows);
  if (q.is_cuda()) {
#if FACELLM_CUDA
    return fused(q, keys, values, rows);
#else
    throw Error(ErrorCode::kDeviceNoCuda, "paged_decode_attention: this build has no CUDA");
#endif
  }
  return takes_row_kernels(q) ? on_cpu(q, keys, values, rows) : paged_decode_attention_reference(q, keys, values, rows);
}

}  // namespace facellm

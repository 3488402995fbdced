#include "kernels/cpu/cpu_attention.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "kernels/common/checks.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/scratch.h"
#include "kernels/cpu/share_out.h"

namespace facellm {
namespace {

// Packing keys and values costs what attending some two dozen queries does, less on AVX2. From here on each level is the faster;
// of a prompt's, which libtorch hides by a mask and whose few heads of keys it repeats, from two on (one has a kernel of its own).
constexpr int64_t kFewestQueries = 64, kFewestCausal = 2;
// Of one head by one thread at a time: whole groups of every level's kernels.
constexpr int64_t kQueriesAtOnce = 96;
// Packed keys and values beyond it, of a long context, are the call's own: a thread's scratch stays as large as it once was.
constexpr int64_t kMostScratch = 16 << 20;

const Bf16* bits(const at::Tensor& x, int64_t n, int64_t h) {
  return static_cast<const Bf16*>(x.const_data_ptr()) + n * x.stride(0) + h * x.stride(1);
}

int64_t on_a_line(int64_t bytes) { return (bytes + 63) / 64 * 64; }

}  // namespace

bool has_cpu_attention(const at::TensorOptions& options, int64_t head_dim) {
  return options.device().is_cpu() && c10::typeMetaToScalarType(options.dtype()) == at::kBFloat16 && attention_kernels() != nullptr &&
         head_dim % 32 == 0;
}

bool takes_cpu_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, bool is_causal) {
  return has_cpu_attention(q.options(), q.size(3)) && (is_causal || q.size(1) == k.size(1)) &&
         q.size(2) >= (is_causal ? kFewestCausal : kFewestQueries) && q.stride(3) == 1 && k.stride(3) == 1 && v.stride(3) == 1;
}

at::Tensor cpu_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, bool is_causal, at::Tensor* log_sums) {
  KernelChecks checks("cpu_attention");
  checks.require(has_cpu_attention(q.options(), q.size(3)), "q: expected bf16 on a CPU with kernels of its own, heads of a multiple of 32");
  checks.require(k.scalar_type() == q.scalar_type() && v.scalar_type() == q.scalar_type(), "k, v: expected the dtype of q");
  checks.require(q.size(1) % k.size(1) == 0 && k.sizes() == v.sizes(), "k, v: expected as many heads each, of which q has a multiple");
  checks.require(!is_causal || k.size(2) >= q.size(2), "causal: expected no fewer keys than queries");
  checks.require(q.stride(3) == 1 && k.stride(3) == 1 && v.stride(3) == 1, "q, k, v: expected a contiguous last dimension");
  checks.finish();
  const auto& kernels = *attention_kernels();
  const int64_t heads = q.size(1), length = q.size(2), dim = q.size(3), kv_heads = k.size(1), keys = k.size(2);
  const int64_t group = heads / kv_heads;
  const auto out = at::empty({q.size(0), length, heads * dim}, q.options());
  if (log_sums != nullptr) *log_sums = at::empty({q.size(0), heads, length}, q.options().dtype(at::kFloat));
  float* const sums = log_sums == nullptr ? nullptr : log_sums->mutable_data_ptr<float>();
  const auto head_of = [&](int64_t n, int64_t h) {
    return CpuAttention{bits(q, n, h), bits(k, n, h / group), bits(v, n, h / group), q.stride(2), k.stride(2), v.stride(2),
                        length, keys, dim, is_causal,
                        static_cast<float>(1 / std::sqrt(static_cast<double>(dim))),
                        static_cast<Bf16*>(out.mutable_data_ptr()) + (n * length * heads + h) * dim, heads * dim,
                        sums == nullptr ? nullptr : sums + (n * heads + h) * length};
  };
  const int64_t packed_bytes = on_a_line(kernels.packed_bytes(keys, dim));
  const int64_t pieces = (length + kQueriesAtOnce - 1) / kQueriesAtOnce;
  // A tile at a time: what is packed stays near.
  for (int64_t n = 0; n < q.size(0); ++n) {
    const int64_t bytes = packed_bytes * kv_heads;
    const auto own = bytes > kMostScratch ? at::empty({bytes}, at::kByte) : at::Tensor();
    auto* const packed = static_cast<std::byte*>(own.defined() ? own.mutable_data_ptr() : scratch(bytes));
    at::parallel_for(0, kv_heads, 1, [&](int64_t begin, int64_t end) {
      for (int64_t h = begin; h < end; ++h) {
        const auto head = head_of(n, h * group);
        kernels.pack(packed + h * packed_bytes, &head);
      }
    });
    share_out(heads * pieces, at::get_num_threads(), [&](int64_t begin, int64_t end) {
      void* const work = work_scratch(kernels.work_bytes(keys, dim));
      for (int64_t i = begin; i < end; ++i) {
        const int64_t h = i / pieces, first = i % pieces * kQueriesAtOnce;
        const auto head = head_of(n, h);
        kernels.attend(&head, packed + h / group * packed_bytes, work, first, std::min(length, first + kQueriesAtOnce));
      }
    });
  }
  return out;
}

}  // namespace facellm

// The kernels of answering and of learning behind plain functions, for kernels.py and learning_kernels.py: nvcc -shared, native/ among the includes, linked with the kernels' own
// objects; nothing of libtorch is in them.
#include "kernels/add_rms_norm/add_rms_norm_cuda.h"
#include "kernels/cross_entropy/cross_entropy_cuda.h"
#include "kernels/dequantise/dequantise_cuda.h"
#include "kernels/embed_patches/embed_patches_cuda.h"
#include "kernels/low_rank/low_rank_cuda.h"
#include "kernels/paged_decode_attention/paged_decode_attention_cuda.h"
#include "kernels/paged_decode_attention/paged_decode_groups_cuda.h"
#include "kernels/patchify/patchify_cuda.h"
#include "kernels/product/few_rows_cuda.h"
#include "kernels/quantised_product/quantised_product_cuda.h"
#include "kernels/swiglu/swiglu_cuda.h"

#include <vector>

using facellm::FewRowsOutputs;

extern "C" void few_rows(const void* x, const void* weight, void* out, int64_t rows, int64_t in, int64_t outputs, bool is_gated,
                         cudaStream_t stream) {
  const auto kind = is_gated ? FewRowsOutputs::kGated : in > facellm::kMostFewRowsIn ? FewRowsOutputs::kNarrow : FewRowsOutputs::kPlain;
  facellm::few_rows_cuda({x, weight, nullptr, out, {rows, in, outputs, kind}, {}, {}}, stream);
}

// A norm and what follows it, in one kernel or in as many as there are operations. `heads`: of queries, of keys, their size, slots; or null.
extern "C" void normed(const void* residual, const void* delta, const void* norm, void* sum, void* normalised, const void* weight,
                       void* product, int64_t rows, int64_t in, int64_t outputs, const int64_t* heads, const void* cos, const void* sin,
                       const int64_t* slots, void* keys, void* values, void* q, bool is_fused, cudaStream_t stream) {
  constexpr float kEps = 1e-6f;
  const auto kind = heads == nullptr ? FewRowsOutputs::kGated : FewRowsOutputs::kRotary;
  facellm::RopeKvAppendShape shape{};
  if (heads != nullptr) {
    shape = {rows, heads[0], heads[1], heads[2], heads[3], {heads[3] * heads[2], heads[2]}, {heads[3] * heads[2], heads[2]}};
  }
  if (is_fused) {
    facellm::FewRows work{nullptr, weight, nullptr, product, {rows, in, outputs, kind}, {residual, delta, norm, sum, kEps}, {}};
    if (heads != nullptr) work.rotary = {cos, sin, slots, q, keys, values, shape};
    facellm::few_rows_cuda(work, stream);
    return;
  }
  facellm::add_rms_norm_cuda(residual, delta, norm, sum, normalised, rows, in, in, kEps, true, stream);
  facellm::few_rows_cuda({normalised, weight, nullptr, product, {rows, in, outputs, heads == nullptr ? kind : FewRowsOutputs::kPlain}, {}, {}}, stream);
  if (heads != nullptr) facellm::rope_kv_append_cuda(product, cos, sin, slots, q, keys, values, shape, true, stream);
}

extern "C" void swiglu(const void* gate_up, void* out, int64_t rows, int64_t size, cudaStream_t stream) {
  facellm::swiglu_cuda(gate_up, out, rows, size, true, stream);
}

extern "C" void swiglu_backward(const void* gate_up, const void* of_out, void* out, int64_t rows, int64_t size, cudaStream_t stream) {
  facellm::swiglu_backward_cuda(gate_up, of_out, out, rows, size, true, stream);
}

extern "C" void norm_backward(const void* sum, const void* weight, const void* of_normalised, void* out, int64_t rows, int64_t size,
                              cudaStream_t stream) {
  facellm::add_rms_norm_backward_cuda(sum, weight, of_normalised, nullptr, out, rows, size, 1e-6f, true, stream);
}

// `heads`: gradients of queries and keys, of one token beside each other, as are those of `values`. numbers: tokens, heads, of keys, their size.
extern "C" void rope_backward(const void* heads, const void* values, const void* cos, const void* sin, void* out, const int64_t* numbers,
                              cudaStream_t stream) {
  const int64_t all = (numbers[1] + numbers[2]) * numbers[3];
  const auto* const keys = static_cast<const char*>(heads) + 2 * numbers[1] * numbers[3];
  facellm::rope_backward_cuda(heads, keys, values, cos, sin, out,
                              {numbers[0], numbers[1], numbers[2], numbers[3], {numbers[3], all}, {numbers[3], all}, {numbers[3], numbers[2] * numbers[3]}},
                              true, stream);
}

extern "C" void cross_entropy(void* logits, const int64_t* labels, const float* scales, float* losses, int64_t rows, int64_t size,
                              cudaStream_t stream) {
  facellm::cross_entropy_cuda(logits, labels, scales, losses, rows, size, true, stream);
}

// `numbers`: tiles, patches of a line, pixels of a patch's. `scale`: means and deviations of the channels.
extern "C" void patchify(const void* tiles, void* out, const int64_t* numbers, const float* scale, cudaStream_t stream) {
  facellm::patchify_cuda(static_cast<const uint8_t*>(tiles), out, {numbers[0], numbers[1], numbers[2]},
                         {{scale[0], scale[1], scale[2]}, {scale[3], scale[4], scale[5]}}, true, stream);
}

extern "C" void embed_patches(const void* patches, const void* class_token, const void* positions, void* out, int64_t tiles, int64_t count,
                              int64_t size, cudaStream_t stream) {
  facellm::embed_patches_cuda(patches, class_token, positions, out, tiles, count, size, true, stream);
}

// form: of WeightForm.
extern "C" void quantised(int form, const void* x, const void* blocks, void* out, const int64_t* numbers, bool is_gated, cudaStream_t stream) {
  const facellm::QuantisedProductShape shape{numbers[0], numbers[1], numbers[2], numbers[3], numbers[4], is_gated};
  facellm::quantised_product_cuda(static_cast<facellm::WeightForm>(form), x, blocks, nullptr, out, shape, stream);
}

extern "C" void dequantise(int form, const void* blocks, void* out, const int64_t* numbers, bool is_bf16, cudaStream_t stream) {
  facellm::dequantise_cuda(static_cast<facellm::WeightForm>(form), blocks, out, {numbers[0], numbers[1], numbers[2], numbers[3]}, is_bf16, stream);
}

// Of each stack A and one B a part, whose columns stand behind one another. numbers: stacks, rows of each, in, out, rank, parts, their columns.
extern "C" void low_rank(const void* x, void* u, void* out, const void* const* a, const void* const* b, const int64_t* numbers,
                         cudaStream_t stream) {
  const int64_t stacks = numbers[0], rows = numbers[1], in = numbers[2], out_size = numbers[3], rank = numbers[4], count = numbers[5];
  const int64_t* const columns = numbers + 6;
  std::vector<facellm::LowRankCudaPart> parts;
  std::vector<facellm::LowRankCudaGroup> groups;
  for (int64_t stack = 0; stack < stacks; ++stack) {
    int64_t begin = 0;
    for (int64_t p = 0; p < count; begin += columns[p++]) parts.push_back({b[stack * count + p], nullptr, begin, columns[p], rank, rank, 2.f});
  }
  for (int64_t stack = 0; stack < stacks; ++stack) {
    groups.push_back({a[stack], stack * rows, rows, count * rank, parts.data() + stack * count, count});
  }
  facellm::low_rank_cuda({x, u, out, nullptr, in, count * rank, out_size, in, out_size, groups.data(), stacks}, true, stream);
}

extern "C" void paged_decode(const void* q, const void* keys, const void* values, const int32_t* table, const int64_t* lengths,
                             float* sums, float* maxima, float* totals, void* out, const int64_t* numbers, bool by_groups,
                             cudaStream_t stream) {
  const auto& shape = *reinterpret_cast<const facellm::PagedDecodeShape*>(numbers);
  if (by_groups) {
    facellm::paged_decode_groups_cuda(q, keys, values, table, lengths, sums, maxima, totals, out, shape, stream);
  } else {
    facellm::paged_decode_attention_cuda(q, keys, values, table, lengths, sums, maxima, totals, out, shape, true, stream);
  }
}

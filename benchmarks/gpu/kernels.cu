// The kernels of answering behind plain functions, for kernels.py: nvcc -shared, native/ among the includes, linked with the kernels' own
// objects; nothing of libtorch is in them.
#include "kernels/dequantise/dequantise_cuda.h"
#include "kernels/paged_decode_attention/paged_decode_attention_cuda.h"
#include "kernels/paged_decode_attention/paged_decode_groups_cuda.h"
#include "kernels/product/few_rows_cuda.h"
#include "kernels/quantised_product/quantised_product_cuda.h"

extern "C" void few_rows(const void* x, const void* weight, const void* bias, void* out, int64_t rows, int64_t in, int64_t outputs,
                         bool is_gated, cudaStream_t stream) {
  facellm::few_rows_cuda(x, weight, bias, out, {rows, in, outputs, is_gated}, stream);
}

// form: of WeightForm.
extern "C" void quantised(int form, const void* x, const void* blocks, void* out, const int64_t* numbers, bool is_gated, cudaStream_t stream) {
  const facellm::QuantisedProductShape shape{numbers[0], numbers[1], numbers[2], numbers[3], numbers[4], is_gated};
  facellm::quantised_product_cuda(static_cast<facellm::WeightForm>(form), x, blocks, nullptr, out, shape, stream);
}

extern "C" void dequantise(int form, const void* blocks, void* out, const int64_t* numbers, bool is_bf16, cudaStream_t stream) {
  facellm::dequantise_cuda(static_cast<facellm::WeightForm>(form), blocks, out, {numbers[0], numbers[1], numbers[2], numbers[3]}, is_bf16, stream);
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

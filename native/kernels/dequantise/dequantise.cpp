#include "kernels/dequantise/dequantise.h"

#include <algorithm>

#include "core/error.h"
#include "core/nf4_values.h"
#include "kernels/common/checks.h"
#include "kernels/common/cuda_launch.h"
#include "kernels/dequantise/dequantise_cuda.h"

namespace facellm {
namespace {

// Numbers put back at a time: what is fp32 in between stays small beside the weight.
constexpr int64_t kAtOnce = 8 << 20;

// Bytes [begin, begin + count) of every record as `dtype`.
at::Tensor field(const at::Tensor& records, int64_t begin, int64_t count, at::ScalarType dtype) {
  return records.narrow(-1, begin, count).contiguous().view(dtype);
}

// int8 and fp8: [blocks, 32, K filled up to fours].
at::Tensor a_scale_a_row(const at::Tensor& blocks, int64_t head, at::ScalarType codes) {
  const auto scales = field(blocks, 0, 128, at::kFloat);  // [blocks, 32]
  const auto quads = field(blocks, head, blocks.size(1) - head, codes).view({blocks.size(0), -1, kBlockRows, 4});
  return quads.permute({0, 2, 1, 3}).to(at::kFloat).mul_(scales.view({-1, kBlockRows, 1, 1})).reshape({blocks.size(0), kBlockRows, -1});
}

// int4 and nf4: [blocks, 32, K filled up to groups]. `scales` [blocks, groups, 32], `bytes` [blocks, groups, group / 8, 32, 4].
template <typename Value>
at::Tensor a_scale_a_group(const at::Tensor& scales, const at::Tensor& bytes, const Value& value) {
  const auto codes = at::stack({bytes.bitwise_and(15), bytes.bitwise_right_shift(4)}, 3);  // [.., group / 8, 2, 32, 4]
  const auto rows = value(codes.permute({0, 4, 1, 2, 3, 5}));                               // [blocks, 32, groups, group / 8, 2, 4]
  return rows.mul_(scales.permute({0, 2, 1}).unsqueeze(-1).unsqueeze(-1).unsqueeze(-1)).reshape({bytes.size(0), kBlockRows, -1});
}

at::Tensor values_of(const at::Tensor& blocks, WeightScheme scheme) {
  const int64_t count = blocks.size(0);
  switch (scheme.form) {
    case WeightForm::kInt8: return a_scale_a_row(blocks, kInt8HeadBytes, at::kChar);
    case WeightForm::kFp8: return a_scale_a_row(blocks, kFp8HeadBytes, at::kFloat8_e4m3fn);
    case WeightForm::kInt4: {
      const auto records = blocks.view({count, -1, 64 + scheme.group * 16});
      return a_scale_a_group(field(records, 0, 64, at::kHalf).to(at::kFloat),
                             field(records, 64, scheme.group * 16, at::kByte).view({count, records.size(1), -1, kBlockRows, 4}),
                             [](const at::Tensor& codes) { return codes.to(at::kFloat).sub_(8); });
    }
    case WeightForm::kNf4: {
      const auto records = blocks.view({count, -1, kNf4RecordBytes});
      const auto table = at::from_blob(const_cast<float*>(kNf4), {16}, at::kFloat).to(blocks.device());
      return a_scale_a_group(field(records, 0, 128, at::kFloat),
                             field(records, 128, 1024, at::kByte).view({count, records.size(1), -1, kBlockRows, 4}),
                             [&](const at::Tensor& codes) { return table.take(codes.to(at::kLong)); });
    }
    case WeightForm::kBf16: break;
  }
  throw Error(ErrorCode::kInternal, "weights as they are stored hold no codes to put back");
}

#if FACELLM_CUDA
bool is_wanted(const at::Tensor& out) {
  const auto dtype = out.scalar_type();
  return out.is_contiguous() && (dtype == at::kBFloat16 || dtype == at::kFloat) &&
         reinterpret_cast<uintptr_t>(out.const_data_ptr()) % 16 == 0;
}
#endif

}  // namespace

void dequantise_blocks(const at::Tensor& blocks, WeightScheme scheme, const at::Tensor& out) {
#if FACELLM_CUDA
  if (blocks.is_cuda() && is_wanted(out)) {
    const DequantiseShape shape{out.size(0), out.size(1), blocks.size(1), scheme.group};
    return cuda_launch("dequantise_blocks", blocks, [&](cudaStream_t stream) {
      dequantise_cuda(scheme.form, blocks.const_data_ptr(), out.mutable_data_ptr(), shape, out.scalar_type() == at::kBFloat16, stream);
    });
  }
#endif
  dequantise_blocks_reference(blocks, scheme, out);
}

void dequantise_blocks_reference(const at::Tensor& blocks, WeightScheme scheme, const at::Tensor& out) {
  const int64_t rows = out.size(0), inner = out.size(1);
  const int64_t step = std::max<int64_t>(1, kAtOnce / (kBlockRows * inner));
  for (int64_t begin = 0; begin < blocks.size(0); begin += step) {
    const int64_t count = std::min(step, blocks.size(0) - begin), first = begin * kBlockRows;
    const auto values = values_of(blocks.narrow(0, begin, count), scheme).flatten(0, 1);
    const int64_t own = std::min(count * kBlockRows, rows - first);
    out.narrow(0, first, own).copy_(values.narrow(0, 0, own).narrow(1, 0, inner));
  }
}

at::Tensor gather_int8_rows(const at::Tensor& blocks, int64_t rows, int64_t inner, const at::Tensor& ids, const at::TensorOptions& options) {
  if (options.dtype() != at::kBFloat16 && options.dtype() != at::kFloat) {
    throw Error(ErrorCode::kInvalidArgument, "gather_int8_rows: expected bf16 or fp32");
  }
  const auto own = ids.contiguous();
  auto shape = ids.sizes().vec();
  shape.push_back(inner);
  const auto out = at::empty(shape, options);
  if (own.numel() == 0) return out;
#if FACELLM_CUDA
  if (blocks.is_cuda()) {
    const DequantiseShape sizes{rows, inner, blocks.size(1), 0};
    cuda_launch("gather_int8_rows", blocks, [&](cudaStream_t stream) {
      gather_int8_cuda(blocks.const_data_ptr(), own.const_data_ptr<int64_t>(), out.mutable_data_ptr(), own.numel(), sizes,
                       options.dtype() == at::kBFloat16, stream);
    });
    return out;
  }
#endif
  const auto flat = own.flatten();
  const auto of_ids = blocks.index_select(0, flat.div(kBlockRows, "floor"));
  const auto codes = field(of_ids, kInt8HeadBytes, of_ids.size(1) - kInt8HeadBytes, at::kChar).view({flat.numel(), -1, kBlockRows, 4});
  const auto place = flat.remainder(kBlockRows).view({-1, 1, 1, 1}).expand({-1, codes.size(1), 1, 4});
  const auto scales = field(of_ids, 0, 128, at::kFloat).gather(1, flat.remainder(kBlockRows).unsqueeze(1));
  out.view({-1, inner}).copy_(codes.gather(2, place).flatten(1).to(at::kFloat).mul_(scales).narrow(1, 0, inner));
  return out;
}

}  // namespace facellm

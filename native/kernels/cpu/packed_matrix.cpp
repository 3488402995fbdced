#include "kernels/cpu/packed_matrix.h"

#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <cstring>

#include "core/populate.h"
#include "kernels/cpu/gelu.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/scratch.h"
#include "kernels/cpu/share_out.h"

namespace facellm {
namespace {

constexpr size_t kLine = 64;
// Rows from which blocks are put back into bf16: measured (docs/quantisation.md).
constexpr int64_t kExpandedRowsInt8 = 16, kExpandedRowsInt4 = 32;
// Of blocks put back at once: all of x that is not near passes by a run of them, not by each.
constexpr int64_t kExpandedBytes = 512 << 10;
// Numbers behind each row that would otherwise be a multiple of kCacheSetsBytes from the next.
constexpr int64_t kPadding = 32;
// Of x beside AMX, up to which its kernels are AVX-512's (amx.cpp).
constexpr int64_t kMostRowsBesideAmx = 4;
// Multiplications below which a second thread costs more than it saves.
constexpr int64_t kWorthThreads = 1 << 18;

int64_t blocks_of(int64_t weight_rows) { return (weight_rows + kBlockRows - 1) / kBlockRows; }

int64_t bytes_of_block(int64_t inner, WeightScheme scheme) {
  switch (scheme.form) {
    case WeightForm::kInt8: return int8_block_bytes(inner);
    case WeightForm::kInt4: return int4_block_bytes(inner, scheme.group);
    case WeightForm::kFp8: return fp8_block_bytes(inner);
    case WeightForm::kNf4: return nf4_block_bytes(inner);
    default: return kBlockRows * inner * static_cast<int64_t>(sizeof(Bf16));
  }
}

const QuantisedForm& form_of(const QuantisedKernels& kernels, WeightForm form) {
  switch (form) {
    case WeightForm::kInt8: return kernels.int8;
    case WeightForm::kInt4: return kernels.int4;
    case WeightForm::kFp8: return kernels.fp8;
    default: return kernels.nf4;
  }
}

Bf16* as_bf16(std::byte* packed) { return reinterpret_cast<Bf16*>(packed); }
uint8_t* as_codes(std::byte* packed) { return reinterpret_cast<uint8_t*>(packed); }

const Bf16* bits(const at::Tensor& x) { return static_cast<const Bf16*>(x.const_data_ptr()); }

}  // namespace

bool PackedMatrix::takes(int64_t rows, int64_t inner) { return rows > 0 && inner > 0 && inner % 2 == 0; }

size_t PackedMatrix::bytes(int64_t rows, int64_t inner, WeightScheme scheme) {
  const auto bytes = static_cast<size_t>(blocks_of(rows) * bytes_of_block(inner, scheme));
  return (bytes + kLine - 1) / kLine * kLine;
}

PackedMatrix::PackedMatrix(int64_t rows, int64_t inner, std::shared_ptr<PackedMemory> memory, const CpuKernels& kernels)
    : weight_rows_(rows), inner_(inner), kernels_(&kernels), memory_(std::move(memory)) {
  packed_ = memory_->take(bytes(rows, inner));
}

PackedMatrix::PackedMatrix(int64_t rows, int64_t inner, WeightScheme scheme, std::shared_ptr<PackedMemory> memory,
                           const QuantisedKernels& kernels)
    : weight_rows_(rows),
      inner_(inner),
      scheme_(scheme),
      quantised_(&form_of(kernels, scheme.form)),
      memory_(std::move(memory)) {
  packed_ = memory_->take(bytes(rows, inner, scheme));
}

PackedMatrix::PackedMatrix(const at::Tensor& weight, std::shared_ptr<PackedMemory> memory, const CpuKernels& kernels)
    : PackedMatrix(weight.size(0), weight.size(1), std::move(memory), kernels) {
  const auto own = weight.contiguous();
  at::parallel_for(0, blocks_of(weight_rows_), 1, [&](int64_t begin, int64_t end) {
    fill(bits(own) + begin * kBlockRows * inner_, begin, end);
  });
}

int64_t PackedMatrix::blocks() const { return blocks_of(weight_rows_); }

int64_t PackedMatrix::block_bytes() const { return bytes_of_block(inner_, scheme_); }

void PackedMatrix::fill(const void* rows, int64_t begin, int64_t end) const {
  const auto block = bytes_of_block(inner_, scheme_);
  populate(packed_ + begin * block, static_cast<size_t>((end - begin) * block));
  if (quantised_ == nullptr) {
    kernels_->pack(as_bf16(packed_), static_cast<const Bf16*>(rows), inner_, weight_rows_, inner_, begin, end);
  } else {
    quantised_->pack(as_codes(packed_), static_cast<const float*>(rows), inner_, weight_rows_, inner_, scheme_.group, begin,
                     end);
  }
}

bool PackedMatrix::suits(const CpuKernels& kernels, int64_t rows) { return rows <= kernels.most_rows; }

bool PackedMatrix::suits_all_rows(const CpuKernels& kernels) { return suits(kernels, kAnyRows); }

bool PackedMatrix::suits(const at::Tensor& x) const {
  if (quantised_ != nullptr) return x.is_cpu() && (x.scalar_type() == at::kBFloat16 || x.scalar_type() == at::kFloat);
  return x.scalar_type() == at::kBFloat16 && x.is_cpu() && suits(*kernels_, x.numel() / inner_);
}

at::Tensor PackedMatrix::product(const at::Tensor& x, const at::Tensor& bias, Activation activation) const {
  if (quantised_ == nullptr || expands(x.numel() / inner_, x.scalar_type())) return bf16_product(x, bias, activation);
  const auto out = x.numel() / inner_ <= quantised_->most_rows ? quantised_product(x, bias) : dequantised_product(x, bias);
  if (activation == Activation::kNone) return out;
  const c10::NoGradGuard no_grad;
  return erf_gelu(out);
}

bool PackedMatrix::expands(int64_t rows, at::ScalarType dtype) const {
  if (dtype != at::kBFloat16 || !takes(weight_rows_, inner_)) return false;
  // Into bf16's own kernels, whose rows follow from nothing but themselves.
  if (has_float_codes()) return suits(cpu_kernels(), rows);
  const int64_t fewest = scheme_.form == WeightForm::kInt8 ? kExpandedRowsInt8 : kExpandedRowsInt4;
  return quantised_->expand != nullptr && !scheme_.is_invariant && rows >= fewest && cpu_kernels().has_scales &&
         suits_all_rows(cpu_kernels());
}

std::optional<PackedView> PackedMatrix::view(const at::Tensor& bias, int64_t rows, at::ScalarType dtype) const {
  const bool is_wide = dtype == at::kFloat;
  if ((!is_wide && dtype != at::kBFloat16) || (bias.defined() && (bias.scalar_type() != dtype || !bias.is_contiguous()))) return {};
  if (quantised_ == nullptr) {
    // AMX's kernels for more rows are libtorch's, for its own threads.
    const bool is_own = cpu_features().level != CpuLevel::kAmx || rows <= kMostRowsBesideAmx;
    if (is_wide || !is_own || !suits(*kernels_, rows)) return {};
  } else if (has_float_codes() || expands(rows, dtype) || rows > quantised_->most_rows) {
    return {};
  }
  const void* const own_bias = bias.defined() ? bias.const_data_ptr() : nullptr;
  return PackedView{packed_, weight_rows_, inner_, scheme_.group, kernels_, quantised_, own_bias, is_wide};
}

at::Tensor PackedMatrix::bf16_product(const at::Tensor& x, const at::Tensor& bias, Activation activation) const {
  const auto& kernels = quantised_ == nullptr ? *kernels_ : cpu_kernels();
  auto shape = x.sizes().vec();
  // What is activated another product reads: padded, or its rows would fall on one another in the first cache.
  const bool is_padded = activation != Activation::kNone && weight_rows_ * 2 % kCacheSetsBytes == 0;
  shape.back() = weight_rows_ + (is_padded ? kPadding : 0);
  const auto out = at::empty(shape, x.options());
  const auto flat = x.reshape({-1, inner_});
  const auto own = flat.stride(1) == 1 || flat.size(0) == 0 ? flat : flat.contiguous();
  const auto own_bias = bias.defined() ? bias.to(x.scalar_type()) : bias;
  CpuProduct product{as_bf16(packed_),
                     weight_rows_,
                     inner_,
                     bits(own),
                     own.stride(0),
                     own.size(0),
                     nullptr,
                     own_bias.defined() ? bits(own_bias) : nullptr,
                     static_cast<Bf16*>(out.mutable_data_ptr()),
                     shape.back()};
  const auto result = is_padded ? out.narrow(-1, 0, weight_rows_) : out;
  if (product.rows == 0) return result;
  if (activation == Activation::kGelu) product.table = gelu_table();
  const int64_t work = product.rows * weight_rows_ * inner_;
  const int64_t threads = work < kWorthThreads ? 1 : at::get_num_threads();
  if (const int64_t bytes = kernels.arranged_bytes(&product); bytes > 0) {
    void* const arranged = scratch(bytes);
    const int64_t groups = (product.rows + kernels.group_rows - 1) / kernels.group_rows;
    const auto arrange = [&](int64_t begin, int64_t end) { kernels.arrange(arranged, &product, begin, end); };
    if (groups < 2 * threads) {
      arrange(0, groups);
    } else {
      at::parallel_for(0, groups, 1, arrange);
    }
    product.arranged = arranged;
  }
  const int64_t strips = (product.rows - 1) / kernels.strip_rows + 1;
  if (quantised_ == nullptr) {
    share_out_strips(blocks_of(weight_rows_), strips, threads, [&](int64_t begin, int64_t end, int64_t first_strip, int64_t end_strip) {
      kernels.multiply(&product, begin, end, first_strip, end_strip);
    });
    return result;
  }
  share_out(blocks_of(weight_rows_), threads, [&](int64_t begin, int64_t end) {
    const int64_t bytes = bytes_of_block(inner_, {}), most = std::max<int64_t>(1, kExpandedBytes / bytes);
    auto* const run = static_cast<std::byte*>(work_scratch(most * (bytes + kBlockRows * 4)));
    auto* const scales = reinterpret_cast<float*>(run + most * bytes);
    for (int64_t first = begin, last = 0; first < end; first = last) {
      last = std::min(first + most, end);
      for (int64_t i = first; i < last; ++i) {
        const auto* const packed = as_codes(packed_) + i * bytes_of_block(inner_, scheme_);
        quantised_->expand(as_bf16(run + (i - first) * bytes), packed, inner_, scheme_.group);
        if (scheme_.form == WeightForm::kInt8) std::memcpy(scales + (i - first) * kBlockRows, packed, kBlockRows * 4);
      }
      CpuProduct some = product;
      some.weight = as_bf16(run);
      some.weight_rows = std::min(last * kBlockRows, weight_rows_) - first * kBlockRows;
      if (own_bias.defined()) some.bias += first * kBlockRows;
      some.out += first * kBlockRows;
      if (scheme_.form == WeightForm::kInt8) some.scales = scales;
      kernels.multiply(&some, 0, last - first, 0, strips);
    }
  });
  return result;
}

at::Tensor PackedMatrix::quantised_product(const at::Tensor& x, const at::Tensor& bias) const {
  auto shape = x.sizes().vec();
  shape.back() = weight_rows_;
  const auto out = at::empty(shape, x.options());
  const auto flat = x.reshape({-1, inner_});
  const auto own = flat.stride(1) == 1 || flat.size(0) == 0 ? flat : flat.contiguous();
  const int64_t rows = own.size(0);
  if (rows == 0) return out;
  void* const arranged = scratch(quantised_->arranged_bytes(rows, inner_, scheme_.group));
  const auto own_bias = bias.defined() ? bias.to(x.scalar_type()) : bias;
  const QuantisedProduct product{as_codes(packed_),
                                 weight_rows_,
                                 inner_,
                                 scheme_.group,
                                 own.const_data_ptr(),
                                 own.stride(0),
                                 rows,
                                 x.scalar_type() == at::kFloat,
                                 arranged,
                                 own_bias.defined() ? own_bias.const_data_ptr() : nullptr,
                                 out.mutable_data_ptr(),
                                 weight_rows_};
  const int64_t threads = rows * weight_rows_ * inner_ < kWorthThreads ? 1 : at::get_num_threads();
  if (rows < 2 * threads) {
    quantised_->arrange(&product, 0, rows);
  } else {
    at::parallel_for(0, rows, 1, [&](int64_t begin, int64_t end) { quantised_->arrange(&product, begin, end); });
  }
  share_out(blocks_of(weight_rows_), threads,
            [&](int64_t begin, int64_t end) { quantised_->multiply(&product, begin, end); });
  return out;
}

at::Tensor PackedMatrix::dequantised_product(const at::Tensor& x, const at::Tensor& bias) const {
  constexpr int64_t kRowsAtOnce = 1024;
  const auto wide = x.reshape({-1, inner_}).to(at::kFloat);
  const auto out = at::empty({wide.size(0), weight_rows_}, x.options());
  for (int64_t begin = 0; begin < weight_rows_; begin += kRowsAtOnce) {
    const int64_t count = std::min(kRowsAtOnce, weight_rows_ - begin);
    auto weight = rows(begin, count);
    if (has_float_codes()) weight = weight.to(x.scalar_type()).to(at::kFloat);
    const auto own_bias = bias.defined() ? bias.narrow(0, begin, count).to(at::kFloat) : bias;
    out.narrow(1, begin, count).copy_(at::linear(wide, weight, own_bias));
  }
  auto shape = x.sizes().vec();
  shape.back() = weight_rows_;
  return out.view(shape);
}

at::Tensor PackedMatrix::gather(const at::Tensor& ids, at::ScalarType dtype) const {
  auto shape = ids.sizes().vec();
  shape.push_back(inner_);
  const auto flat = ids.reshape({-1}).contiguous();
  const auto* const wanted = flat.const_data_ptr<int64_t>();
  const auto out = at::empty({flat.numel(), inner_}, dtype);
  // Modes are a thread's own: what this one makes in inference mode the others may write to in that mode alone.
  const bool is_inference = c10::InferenceMode::is_enabled();
  at::parallel_for(0, flat.numel(), 4, [&](int64_t begin, int64_t end) {
    const c10::NoGradGuard no_grad;
    const c10::InferenceMode mode(is_inference);
    for (int64_t i = begin; i < end; ++i) out.select(0, i).copy_(rows(wanted[i], 1).select(0, 0));
  });
  return out.view(shape);
}

void PackedMatrix::write_rows(const at::Tensor& out) const {
  const bool is_inference = c10::InferenceMode::is_enabled();
  at::parallel_for(0, blocks(), 1, [&](int64_t begin, int64_t end) {
    const c10::NoGradGuard no_grad;
    const c10::InferenceMode mode(is_inference);
    const auto block = at::empty({kBlockRows, inner_}, at::kFloat);
    for (int64_t i = begin; i < end; ++i) {
      const int64_t count = std::min(kBlockRows, weight_rows_ - i * kBlockRows);
      const auto to = out.narrow(0, i * kBlockRows, count);
      if (quantised_ == nullptr) {
        to.copy_(rows(i * kBlockRows, count));
        continue;
      }
      auto* const values = to.scalar_type() == at::kFloat ? to.mutable_data_ptr<float>() : block.mutable_data_ptr<float>();
      quantised_->unpack(values, inner_, as_codes(packed_), weight_rows_, inner_, scheme_.group, i, i + 1);
      if (to.scalar_type() != at::kFloat) to.copy_(block.narrow(0, 0, count));
    }
  });
}

at::Tensor PackedMatrix::rows(int64_t begin, int64_t count) const {
  const int64_t first = begin / kBlockRows, last = blocks_of(begin + count);
  const auto rows = at::empty({(last - first) * kBlockRows, inner_}, source_dtype());
  at::parallel_for(first, last, 1, [&](int64_t own_first, int64_t own_last) {
    const int64_t before = (own_first - first) * kBlockRows * inner_;
    if (quantised_ == nullptr) {
      kernels_->unpack(static_cast<Bf16*>(rows.mutable_data_ptr()) + before, inner_, as_bf16(packed_), weight_rows_, inner_,
                       own_first, own_last);
    } else {
      quantised_->unpack(rows.mutable_data_ptr<float>() + before, inner_, as_codes(packed_), weight_rows_, inner_,
                         scheme_.group, own_first, own_last);
    }
  });
  return rows.narrow(0, begin - first * kBlockRows, count);
}

}  // namespace facellm

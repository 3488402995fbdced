// Weights in 8 and 4 bits on a GPU, against the CPU's own unpacking of the same blocks and fp64: the kernels of few rows, what is put
// back for many, rows that are looked up.
#include <gtest/gtest.h>

#include <map>

#include "devices.h"
#include "kernels/common/checks.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/packed_matrix.h"
#include "kernels/dequantise/dequantise.h"
#include "layers/frozen_weight.h"

namespace facellm {
namespace {

const std::map<std::string, WeightScheme> kSchemes{{"int8", {.form = WeightForm::kInt8}},
                                                   {"int4 of 32", {.form = WeightForm::kInt4, .group = 32}},
                                                   {"int4 of 64", {.form = WeightForm::kInt4, .group = 64}},
                                                   {"int4 of 128", {.form = WeightForm::kInt4, .group = 128}},
                                                   {"fp8", {.form = WeightForm::kFp8}},
                                                   {"nf4", {.form = WeightForm::kNf4}}};

std::shared_ptr<PackedMatrix> packed(const at::Tensor& weight, WeightScheme scheme) {
  const auto memory = std::make_shared<PackedMemory>(PackedMatrix::bytes(weight.size(0), weight.size(1), scheme));
  auto matrix = std::make_shared<PackedMatrix>(weight.size(0), weight.size(1), scheme, memory, quantised_kernels());
  matrix->fill(weight.const_data_ptr(), 0, matrix->blocks());
  return matrix;
}

at::Tensor wide(const at::Tensor& x) { return x.cpu().to(at::kDouble); }

// |actual - truth| <= one rounding of bf16 and what fp32 sums of `magnitude` may be off by, element by element.
void expect_near(const at::Tensor& actual, const at::Tensor& truth, const at::Tensor& magnitude, int64_t inner, const std::string& what) {
  const auto allowed = truth.abs() * 0x1p-8 + magnitude * (static_cast<double>(inner + 4) * 0x1p-24) + 1e-30;
  EXPECT_LE(((wide(actual) - truth).abs() / allowed).max().item<double>(), 1.0) << what;
}

TEST(QuantisedProduct, OnCuda) {
  if (!at::hasCUDA()) GTEST_SKIP() << "no GPU in this build or machine";
  const c10::NoGradGuard no_grad;
  at::manual_seed(6);
  const auto options = at::TensorOptions(at::kBFloat16).device(at::kCUDA);
  for (const auto& [name, scheme] : kSchemes) {
    for (const auto& [rows, inner] : {std::pair<int64_t, int64_t>{64, 128}, {192, 896}, {70, 256}, {96, 80}}) {
      const auto matrix = packed(at::randn({rows, inner}) / std::sqrt(static_cast<double>(inner)), scheme);
      // Scratch for a block of rows alone: many rows of x are multiplied part by part.
      for (const int64_t scratch : {rows * inner, 32 * inner}) {
        const FrozenWeight weight(matrix, std::make_shared<WeightScratch>(scratch, options, false));
        const auto exact = matrix->rows(0, rows);  // fp32
        const auto bias = at::randn({rows}).to(at::kBFloat16);
        for (const int64_t count : {1, 3, 9, 16, 31, 64, 65, 200}) {
          const auto x = at::randn({count, inner}).to(at::kBFloat16);
          const PackedBlocks blocks{at::from_blob(matrix->blocks_begin(), {matrix->blocks(), matrix->block_bytes()}, at::kByte).cuda(), scheme, rows, inner};
          const bool is_taken = takes_quantised_product(x.cuda(), blocks, bias.cuda());
          const int64_t multiple = scheme.form == WeightForm::kInt4 ? scheme.group : scheme.form == WeightForm::kNf4 ? 64 : 32;
          EXPECT_EQ(is_taken, count <= 64 && inner % multiple == 0) << name << " " << inner;
          // As it is multiplied: by its codes, or rounded to bf16.
          const bool is_rounded = !is_taken || scheme.form == WeightForm::kNf4;
          const auto w = wide(is_rounded ? exact.to(at::kBFloat16) : exact);
          const auto what = name + ", " + std::to_string(count) + " rows of " + std::to_string(inner);
          expect_near(weight.product(x.cuda(), bias.cuda()), at::linear(wide(x), w, wide(bias)), at::linear(wide(x).abs(), w.abs()), inner, what);
          // What is trained upon is multiplied as it is rounded, whatever the number of rows.
          const FrozenWeight trained(matrix, std::make_shared<WeightScratch>(rows * inner, options));
          EXPECT_TRUE(at::equal(trained.product(x.cuda(), {}), at::linear(x.cuda(), trained.whole()))) << what;
          expect_near(weight.product(x.cuda(), {}), at::linear(wide(x), w), at::linear(wide(x).abs(), w.abs()), inner, what);
          if (rows % 64 == 0) {
            // Gate, silu (whose slope is 1.1 at most) and up are rounded, and the product.
            const auto both = at::linear(wide(x), w).split(rows / 2, -1);
            const auto errors = (at::linear(wide(x).abs(), w.abs()) * (static_cast<double>(inner + 4) * 0x1p-24)).split(rows / 2, -1);
            const auto silu = both[0] * at::sigmoid(both[0]), truth = silu * both[1];
            const auto up_error = errors[1] + both[1].abs() * 0x1p-8;
            const auto silu_error = 1.1 * (errors[0] + both[0].abs() * 0x1p-8) + silu.abs() * 0x1p-8;
            const auto allowed = silu_error * (both[1].abs() + up_error) + silu.abs() * up_error + truth.abs() * 0x1p-8 + 1e-30;
            EXPECT_LE(((wide(weight.gated(x.cuda())) - truth).abs() / allowed).max().item<double>(), 1.0) << what << ", gated";
          }
        }
      }
    }
  }
}

TEST(QuantisedProduct, PutsBackOnCudaWhatTheCpuDoes) {
  if (!at::hasCUDA()) GTEST_SKIP() << "no GPU in this build or machine";
  at::manual_seed(7);
  for (const auto& [name, scheme] : kSchemes) {
    for (const auto& [rows, inner] : {std::pair<int64_t, int64_t>{1, 2}, {33, 70}, {64, 128}, {95, 448}, {40, 5}}) {
      const auto matrix = packed(at::randn({rows, inner}), scheme);
      const auto host = at::from_blob(matrix->blocks_begin(), {matrix->blocks(), matrix->block_bytes()}, at::kByte);
      for (const auto dtype : {at::kFloat, at::kBFloat16}) {
        const auto expected = at::empty({rows, inner}, dtype), out = at::empty({rows, inner}, at::TensorOptions(dtype).device(at::kCUDA));
        matrix->write_rows(expected);
        dequantise_blocks(host.cuda(), scheme, out);
        EXPECT_TRUE(at::equal(out.cpu(), expected)) << name << " " << rows << " " << inner;
        if (scheme.form != WeightForm::kInt8) continue;
        const auto ids = at::randint(rows, {3, 4}, at::kLong);
        const auto looked_up = gather_int8_rows(host.cuda(), rows, inner, ids.cuda(), out.options());
        EXPECT_TRUE(at::equal(looked_up.cpu(), matrix->gather(ids, dtype))) << rows << " " << inner;
        EXPECT_TRUE(at::equal(gather_int8_rows(host, rows, inner, ids, at::TensorOptions(dtype)), matrix->gather(ids, dtype)));
      }
    }
  }
}

}  // namespace
}  // namespace facellm

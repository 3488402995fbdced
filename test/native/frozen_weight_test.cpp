// Weights that are trained upon in 8 and 4 bits: nf4 is bitsandbytes' bit for bit, tensor operations put back what the CPU's loops
// do, and gradients are those of training upon the dequantised weights.
#include "layers/frozen_weight.h"

#include <gtest/gtest.h>

#include <c10/core/GradMode.h>

#include <cstring>
#include <functional>

#include "checkpoint/checkpoint.h"
#include "core/nf4_values.h"
#include "kernels/cpu/isa.h"
#include "kernels/dequantise/dequantise.h"
#include "lora/lora_linear.h"
#include "model/double_quantisation.h"

namespace facellm {
namespace {

const std::string kFixture = FACELLM_FIXTURES "/quantised/nf4.safetensors";

struct Form {
  const char* name;
  WeightScheme scheme;
};

std::vector<Form> forms() {
  return {{"int8", {.form = WeightForm::kInt8}},
          {"int4 of 32", {.form = WeightForm::kInt4, .group = 32}},
          {"int4 of 128", {.form = WeightForm::kInt4, .group = 128}},
          {"fp8", {.form = WeightForm::kFp8}},
          {"nf4", {.form = WeightForm::kNf4}}};
}

std::shared_ptr<PackedMatrix> packed(const at::Tensor& weight, WeightScheme scheme) {
  const int64_t rows = weight.size(0), inner = weight.size(1);
  auto memory = std::make_shared<PackedMemory>(PackedMatrix::bytes(rows, inner, scheme));
  auto matrix = std::make_shared<PackedMatrix>(rows, inner, scheme, memory, quantised_kernels());
  const auto wide = weight.to(at::kFloat).contiguous();
  matrix->fill(wide.const_data_ptr(), 0, matrix->blocks());
  return matrix;
}

std::shared_ptr<const FrozenWeight> frozen(const at::Tensor& weight, WeightScheme scheme, at::ScalarType dtype) {
  const auto scratch = std::make_shared<WeightScratch>(weight.numel(), at::TensorOptions(dtype));
  return std::make_shared<const FrozenWeight>(packed(weight, scheme), scratch);
}

bool same_bits(const at::Tensor& a, const at::Tensor& b) {
  const auto x = a.contiguous(), y = b.contiguous();
  return x.sizes() == y.sizes() && x.scalar_type() == y.scalar_type() &&
         std::memcmp(x.const_data_ptr(), y.const_data_ptr(), x.nbytes()) == 0;
}

// Codes of bitsandbytes' order: the first number in the upper half.
at::Tensor nf4_codes(const PackedMatrix& matrix) {
  const int64_t inner = matrix.inner();
  const auto codes = at::empty({matrix.weight_rows() * inner / 2}, at::kByte);
  auto* to = codes.mutable_data_ptr<uint8_t>();
  for (int64_t n = 0; n < matrix.weight_rows(); ++n) {
    for (int64_t k = 0; k < inner; k += 2) {
      const auto code = [&](int64_t column) {
        const auto* const record = matrix.blocks_begin() + n / 32 * matrix.block_bytes() + column / 64 * kNf4RecordBytes + 128;
        const auto both = static_cast<int>(record[column % 64 / 8 * 128 + n % 32 * 4 + column % 4]);
        return column % 8 < 4 ? both & 15 : both >> 4;
      };
      *to++ = static_cast<uint8_t>(code(k) << 4 | code(k + 1));
    }
  }
  return codes;
}

TEST(FrozenWeight, Nf4IsBitsAndBytesOwn) {
  const auto fixture = Checkpoint::open({kFixture}, {}, StoredDtypes::kNumbersAndCodes);
  for (const auto& [source, name] : {std::pair("weight", "single"), std::pair("exact", "ties")}) {
    const auto matrix = packed(fixture.view(source), {.form = WeightForm::kNf4});
    EXPECT_TRUE(same_bits(nf4_codes(*matrix), fixture.view(std::string(name) + ".codes"))) << name;
    const auto values = at::empty({matrix->weight_rows(), matrix->inner()}, at::kBFloat16);
    matrix->write_rows(values);
    EXPECT_TRUE(same_bits(values, fixture.view(std::string(name) + ".values"))) << name;
  }
}

TEST(FrozenWeight, DoubleQuantisationIsBitsAndBytesOwn) {
  const auto fixture = Checkpoint::open({kFixture}, {}, StoredDtypes::kNumbersAndCodes);
  EXPECT_TRUE(same_bits(dynamic_map(), fixture.view("dynamic_map")));
  const WeightScheme scheme{.form = WeightForm::kNf4, .is_double = true};
  const auto weight = fixture.view("weight");
  Linear linear;
  const auto matrix = packed(weight, scheme);
  linear.packed = matrix;
  double_quantise({{&linear, {{"", 0, weight.size(0)}}, scheme}}, fixture);
  EXPECT_TRUE(same_bits(nf4_codes(*matrix), fixture.view("double.codes")));
  EXPECT_TRUE(same_bits(matrix->rows(0, weight.size(0)), fixture.view("double.values")));
}

TEST(FrozenWeight, ModulesOfAFusedWeightAreDoubleQuantisedApart) {
  at::manual_seed(1);
  const auto plain = Checkpoint::open({kFixture}, {}, StoredDtypes::kNumbersAndCodes);  // holds no module of these names
  const WeightScheme scheme{.form = WeightForm::kNf4, .is_double = true};
  const auto a = at::randn({40, 128}), b = at::randn({24, 128}) * 3;
  const auto of = [&](const at::Tensor& weight, std::vector<LinearSite::Slice> slices) {
    Linear linear;
    const auto matrix = packed(weight, scheme);
    linear.packed = matrix;
    double_quantise({{&linear, std::move(slices), scheme}}, plain);
    return matrix->rows(0, weight.size(0)).clone();
  };
  const auto fused = of(at::cat({a, b}), {{"a", 0, 40}, {"b", 40, 24}});
  EXPECT_TRUE(same_bits(fused, at::cat({of(a, {{"a", 0, 40}}), of(b, {{"b", 0, 24}})})));
}

TEST(FrozenWeight, Fp8IsTorchsOwnAndWithinHalfAStep) {
  at::manual_seed(2);
  const auto weight = at::randn({45, 70}) * at::logspace(-30, 3, 45).unsqueeze(1);
  const auto scale = weight.abs().amax(1, true) / 448;
  const auto inverse = 448 / weight.abs().amax(1, true);
  const auto codes = (weight * inverse).clamp(-448, 448).to(at::kFloat8_e4m3fn);
  EXPECT_TRUE(same_bits(packed(weight, {.form = WeightForm::kFp8})->rows(0, 45), codes.to(at::kFloat) * scale));
}

TEST(FrozenWeight, TensorOperationsPutBackWhatTheLoopsDo) {
  at::manual_seed(3);
  for (const auto& [rows, inner] : {std::pair<int64_t, int64_t>{1, 2}, {33, 70}, {64, 128}, {95, 448}, {40, 5}}) {
    const auto weight = at::randn({rows, inner});
    weight.select(0, 0).zero_();
    for (const auto& [name, scheme] : forms()) {
      const auto matrix = packed(weight, scheme);
      const auto blocks = at::from_blob(matrix->blocks_begin(), {matrix->blocks(), matrix->block_bytes()}, at::kByte);
      for (const auto dtype : {at::kFloat, at::kBFloat16}) {
        const auto a = at::empty({rows, inner}, dtype), b = at::empty({rows, inner}, dtype);
        matrix->write_rows(a);
        dequantise_blocks(blocks, scheme, b);
        EXPECT_TRUE(same_bits(a, b)) << name << " " << rows << " " << inner;
        EXPECT_TRUE(same_bits(a, matrix->rows(0, rows).to(dtype))) << name;
      }
    }
  }
}

TEST(FrozenWeight, Nf4TablesAgree) {
  const auto exact = at::from_blob(const_cast<float*>(kNf4), {16}, at::kFloat);
  const auto weight = at::zeros({1, 64});
  weight[0].narrow(0, 0, 16).copy_(exact);
  EXPECT_TRUE(same_bits(packed(weight, {.form = WeightForm::kNf4})->rows(0, 1)[0].narrow(0, 0, 16), exact));
}

TEST(FrozenWeight, ProductsOfFloatCodesAreThoseOfTheirRoundedWeights) {
  at::manual_seed(4);
  for (const auto form : {WeightForm::kFp8, WeightForm::kNf4}) {
    const auto matrix = packed(at::randn({70, 192}), {.form = form});
    const auto bias = at::randn({70});
    for (const int64_t rows : {1, 3, 40, 200}) {
      for (const auto dtype : {at::kFloat, at::kBFloat16}) {
        const auto x = at::randn({rows, 192}).to(dtype);
        const auto exact = at::linear(x.to(at::kDouble), matrix->rows(0, 70).to(dtype).to(at::kDouble), bias.to(dtype).to(at::kDouble));
        const auto error = (matrix->product(x, bias.to(dtype)).to(at::kDouble) - exact).abs();
        // Of sums in fp32, and one rounding.
        const auto sums = at::linear(x.to(at::kDouble).abs(), matrix->rows(0, 70).to(at::kDouble).abs()) * (192 * 0x1p-24);
        const auto bound = sums + exact.abs() * (dtype == at::kFloat ? 0x1p-23 : 0x1p-8) + 1e-6;
        EXPECT_TRUE((error <= bound).all().item<bool>()) << static_cast<int>(form) << " " << rows;
      }
    }
  }
}

struct Trained {
  at::Tensor x, bias;
  std::vector<LoraSlice> slices;

  static Trained make(at::ScalarType dtype, bool has_dora) {
    const auto leaf = [&](at::IntArrayRef shape, at::ScalarType own) { return at::randn(shape).to(own).set_requires_grad(true); };
    Trained t{leaf({2, 5, 70}, dtype), at::randn({96}).to(dtype), {}};
    const auto wide = dtype == at::kDouble ? at::kDouble : at::kFloat;
    for (const auto& [begin, count] : {std::pair<int64_t, int64_t>{0, 40}, {64, 32}}) {
      LoraSlice slice{begin, count, leaf({3, 70}, wide), leaf({count, 3}, wide), {}, 0.5};
      if (has_dora) slice.magnitude = (at::rand({count}) + 8).set_requires_grad(true);
      t.slices.push_back(slice);
    }
    return t;
  }
  // Of everything that learns, of a loss that takes each output into account.
  std::vector<at::Tensor> gradients(const Linear& base, bool is_composed) {
    std::vector<at::Tensor> leaves{x};
    for (const auto& slice : slices) {
      leaves.push_back(slice.a);
      leaves.push_back(slice.b);
      if (slice.magnitude.defined()) leaves.push_back(slice.magnitude);
    }
    for (auto& leaf : leaves) leaf.mutable_grad() = at::Tensor();
    loss(base, is_composed).backward();
    std::vector<at::Tensor> grads;
    for (const auto& leaf : leaves) grads.push_back(leaf.grad().clone());
    return grads;
  }
  at::Tensor loss(const Linear& base, bool is_composed) const {
    const auto y = is_composed ? lora_linear_reference(x, base, slices, {}, 0) : lora_linear(x, base, slices);
    return (y.to(at::kDouble).pow(2) * at::arange(96, at::kDouble)).sum();
  }
};

Linear plain_base(const at::Tensor& weight, const at::Tensor& bias) {
  Linear base;
  base.weight = weight;
  base.bias = bias;
  return base;
}

Linear frozen_base(const at::Tensor& weight, WeightScheme scheme, const at::Tensor& bias) {
  auto base = plain_base(at::empty(weight.sizes(), at::TensorOptions(bias.scalar_type()).device(at::kMeta)), bias);
  base.frozen = frozen(weight, scheme, bias.scalar_type());
  return base;
}

TEST(FrozenWeight, GradientsAreThoseOfTheDequantisedWeights) {
  at::manual_seed(5);
  const auto weight = at::randn({96, 70});
  for (const auto& [name, scheme] : forms()) {
    for (const auto dtype : {at::kFloat, at::kBFloat16}) {
      for (const auto& [has_dora, is_composed] : {std::pair(false, false), {false, true}, {true, true}}) {
        auto t = Trained::make(dtype, has_dora);
        const auto base = frozen_base(weight, scheme, t.bias);
        const auto plain = plain_base(base.frozen->whole().clone(), t.bias);
        const auto own = t.gradients(base, is_composed), wanted = t.gradients(plain, is_composed);
        for (size_t i = 0; i < own.size(); ++i) {
          EXPECT_TRUE(same_bits(own[i], wanted[i])) << name << " " << c10::toString(dtype) << " " << has_dora << i;
        }
        const c10::NoGradGuard no_grad;
        EXPECT_TRUE(same_bits(base.product(t.x), plain.product(t.x))) << name;
        EXPECT_TRUE(same_bits(base.weight_rows(33, 40), plain.weight_rows(33, 40))) << name;
      }
    }
  }
}

TEST(FrozenWeight, GradientsAreDifferencesOfTheLoss) {
  at::manual_seed(6);
  const auto weight = at::randn({96, 70});
  for (const auto& [name, scheme] : forms()) {
    auto t = Trained::make(at::kDouble, false);
    const auto base = frozen_base(weight, scheme, t.bias);
    const auto grads = t.gradients(base, false);
    std::vector<at::Tensor> leaves{t.x, t.slices[0].a, t.slices[0].b, t.slices[1].a, t.slices[1].b};
    const c10::NoGradGuard no_grad;
    for (size_t i = 0; i < leaves.size(); ++i) {
      for (const int64_t at : {int64_t{0}, leaves[i].numel() / 2, leaves[i].numel() - 1}) {
        auto* const value = leaves[i].mutable_data_ptr<double>() + at;
        const double before = *value, step = 1e-5;
        *value = before + step;
        const double above = t.loss(base, false).item<double>();
        *value = before - step;
        const double below = t.loss(base, false).item<double>();
        *value = before;
        const double numeric = (above - below) / (2 * step), own = grads[i].reshape({-1})[at].item<double>();
        // The loss is a sum of some 1e5; differences of it are exact to 1e-16 of that over the step.
        EXPECT_NEAR(own, numeric, 1e-4 * std::max(1.0, std::abs(numeric)) + 1e-5) << name << " " << i << " " << at;
      }
    }
  }
}

}  // namespace
}  // namespace facellm

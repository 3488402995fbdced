// Kernels of packed weights, every level that this processor has: layout exact, sums beside the scalar unit's and the
// truth in fp64, a row's bits whatever surrounds it, and not a byte touched that is not theirs.
#include <gtest/gtest.h>

#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>

#include <atomic>
#include <cmath>
#include <limits>

#include "core/cpu_level.h"
#include "guarded.h"
#include "kernels/cpu/gelu.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/packed_matrix.h"
#include "kernels/cpu/share_out.h"

namespace facellm {
namespace {

std::vector<const CpuKernels*> levels() {
  std::vector<const CpuKernels*> found{&kScalarKernels};
#if defined(__x86_64__)
  const auto cpu = detect_cpu();
  if (cpu.level >= CpuLevel::kAvx2) found.push_back(&kAvx2Kernels);
  if (cpu.has_avx512_bf16) found.insert(found.end(), {&kAvx512Kernels, &amx_kernels()});
#endif
  return found;
}

// N, K: of the models (the wide ones cut in N, which is the same for every block), tails of blocks, lines and chunks.
constexpr int64_t kShapes[][2]{{1152, 896}, {64, 896},  {96, 4864},   {64, 3584}, {64, 18944}, {64, 5120}, {32, 27648}, {32, 6144}, {32, 10240},
                               {96, 1024},  {64, 4096}, {64, 12800},  {33, 588},  {1, 2},      {31, 30},   {34, 34},
                               {70, 62},    {32, 64},   {2079, 64},   {65, 450}};

int64_t blocks_of(int64_t rows) { return (rows + kBlockRows - 1) / kBlockRows; }

at::Tensor multiply(const CpuKernels& kernels, const Guarded& packed, const at::Tensor& x, int64_t n, const at::Tensor& bias,
                    const Bf16* table = nullptr, bool is_strip_by_strip = false) {
  const int64_t rows = x.size(0), inner = x.size(1), stride = x.stride(0);
  // Rows that lie apart keep what is between them, and nothing behind the last.
  const Guarded own_x(stride == inner ? x : x.as_strided({(rows - 1) * stride + inner}, {1})), out(rows * n);
  const auto own_bias = bias.defined() ? std::make_unique<Guarded>(bias) : nullptr;
  CpuProduct product{packed.data(), n,          inner, own_x.data(), stride, rows, nullptr, own_bias ? own_bias->data() : nullptr,
                     out.data(),    n,          nullptr, table};
  const int64_t bytes = kernels.arranged_bytes(&product);
  const Guarded arranged((bytes + 1) / 2);
  if (bytes > 0) {
    product.arranged = arranged.data();
    // The last group first: what a group writes into the next would stay.
    for (int64_t group = (rows + kernels.group_rows - 1) / kernels.group_rows - 1; group >= 0; --group) {
      kernels.arrange(arranged.data(), &product, group, group + 1);
    }
  }
  const int64_t strips = (rows - 1) / kernels.strip_rows + 1;
  if (is_strip_by_strip) {
    for (int64_t strip = strips - 1; strip >= 0; --strip) kernels.multiply(&product, 0, blocks_of(n), strip, strip + 1);
  } else {
    kernels.multiply(&product, 0, blocks_of(n), 0, strips);
  }
  return out.tensor({rows, n});
}

at::Tensor looked_up(const Bf16* table, const at::Tensor& x) {
  auto out = x.clone(at::MemoryFormat::Contiguous);
  auto* const values = static_cast<Bf16*>(out.mutable_data_ptr());
  for (int64_t i = 0; i < out.numel(); ++i) values[i] = table[values[i]];
  return out;
}

std::unique_ptr<Guarded> pack(const CpuKernels& kernels, const at::Tensor& weight) {
  const int64_t n = weight.size(0), inner = weight.size(1);
  auto packed = std::make_unique<Guarded>(blocks_of(n) * kBlockRows * inner);
  const Guarded own(weight);
  kernels.pack(packed->data(), own.data(), inner, n, inner, 0, blocks_of(n));
  return packed;
}

at::Tensor bits(const at::Tensor& x) { return x.contiguous().view(at::kShort); }

// One rounding to bf16, 2^-9 of the value (2^-8 with room for ties and denormals' neighbours), and sums of K products in
// any order, K 2^-23 of the sum of magnitudes. vdpbf16ps takes numbers below 2^-126 for zero, on either side.
void expect_sums(const at::Tensor& actual, const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                 const std::string& where) {
  const auto wide_x = x.to(at::kDouble), wide_w = weight.to(at::kDouble);
  auto truth = at::mm(wide_x, wide_w.t()), magnitude = at::mm(wide_x.abs(), wide_w.abs().t());
  if (bias.defined()) {
    truth = truth + bias.to(at::kDouble);
    magnitude = magnitude + bias.to(at::kDouble).abs();
  }
  const auto lost = (wide_x.abs().sum(1, true) + wide_w.abs().sum(1).unsqueeze(0) + static_cast<double>(2 * x.size(1))) * 0x1p-126;
  const auto allowed = truth.abs() * 0x1p-8 + magnitude * (static_cast<double>(x.size(1) + 2) * 0x1p-23) + lost;
  const auto error = (actual.to(at::kDouble) - truth).abs();
  EXPECT_TRUE((error <= allowed).all().item<bool>())
      << where << " worst " << (error / allowed).max().item<double>() << " of the bound";
}

std::string name(const CpuKernels& kernels, int64_t n, int64_t k, int64_t m) {
  return std::string(kernels.name) + " N " + std::to_string(n) + " K " + std::to_string(k) + " M " + std::to_string(m);
}

TEST(CpuKernels, PackingIsTheLayoutAndUnpackingItsInverse) {
  at::manual_seed(1);
  for (const auto& [n, k] : kShapes) {
    // All bits, NaN's among them.
    const auto weight = at::randint(-32768, 32768, {n, k}, at::kShort).view(at::kBFloat16);
    for (const auto* kernels : levels()) {
      const auto packed = pack(*kernels, weight);
      const auto* values = static_cast<const Bf16*>(weight.const_data_ptr());
      int64_t wrong = 0;
      for (int64_t row = 0; row < blocks_of(n) * 32; ++row) {
        for (int64_t c = 0; c < k; ++c) {
          const Bf16 there = packed->data()[((row / 32 * (k / 2) + c / 2) * 32 + row % 32) * 2 + c % 2];
          wrong += there != (row < n ? values[row * k + c] : 0);
        }
      }
      EXPECT_EQ(wrong, 0) << name(*kernels, n, k, 0);
      const Guarded back(n * k);
      kernels->unpack(back.data(), k, packed->data(), n, k, 0, blocks_of(n));
      EXPECT_TRUE(at::equal(bits(back.tensor({n, k})), bits(weight))) << name(*kernels, n, k, 0);
    }
  }
}

TEST(CpuKernels, SumsAreRoundedOnceAndRowsKnowNothingOfEachOther) {
  at::manual_seed(2);
  for (const auto& [n, k] : kShapes) {
    const auto weight = at::randn({n, k}, at::kBFloat16), bias = at::randn({n}, at::kBFloat16);
    const auto all = at::randn({225, k}, at::kBFloat16);
    all.select(0, 2).zero_();
    for (const auto* kernels : levels()) {
      const auto packed = pack(*kernels, weight);
      at::Tensor alone;  // each row by itself, where that is cheap; beside AMX in company of itself, since few go another way
      const int64_t fewest = std::string(kernels->name) == "amx" ? 5 : 1;
      for (const int64_t m : {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 24, 25, 31, 32, 33, 97, 225}) {
        if (kernels == &kScalarKernels && m * n * k > (1 << 22)) continue;
        if (m > 33 && n * k > (1 << 18)) continue;
        const auto x = all.narrow(0, 0, m);
        const auto where = name(*kernels, n, k, m);
        const auto with_bias = multiply(*kernels, *packed, x, n, bias), without = multiply(*kernels, *packed, x, n, {});
        expect_sums(with_bias, x, weight, bias, where);
        expect_sums(without, x, weight, {}, where);
        for (int64_t row = alone.defined() ? alone.size(0) : 0; row < m; ++row) {
          const auto own = all.narrow(0, row, 1).expand({fewest, k}).contiguous();
          const auto one = multiply(*kernels, *packed, own, n, bias).narrow(0, 0, 1);
          alone = alone.defined() ? at::cat({alone, one}) : one;
        }
        if (m >= fewest) {
          EXPECT_TRUE(at::equal(bits(with_bias), bits(alone.narrow(0, 0, m)))) << where;
        }
      }
    }
  }
}

#if defined(__x86_64__)
TEST(CpuKernels, Avx2IsTheScalarUnitBitForBit) {
  if (detect_cpu().level < CpuLevel::kAvx2) GTEST_SKIP() << "a processor without AVX2";
  at::manual_seed(3);
  for (const auto& [n, k] : {std::pair<int64_t, int64_t>{70, 62}, {33, 588}, {64, 896}, {34, 34}, {31, 930}}) {
    const auto weight = at::randn({n, k}, at::kBFloat16), bias = at::randn({n}, at::kBFloat16);
    weight.view(-1)[1] = 1e-39;  // a denormal
    const auto packed = pack(kAvx2Kernels, weight);
    for (const int64_t m : {1, 2, 3, 5, 6, 7, 13, 33}) {
      const auto x = at::randn({m, k}, at::kBFloat16);
      const auto expected = multiply(kScalarKernels, *packed, x, n, bias);
      EXPECT_TRUE(at::equal(bits(multiply(kAvx2Kernels, *packed, x, n, bias)), bits(expected))) << n << " " << k << " " << m;
    }
  }
}
#endif

TEST(CpuKernels, InfinityAndNanReachTheirOwnSumsOnly) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  at::manual_seed(4);
  for (const auto* kernels : levels()) {
    const auto weight = at::randn({66, 898}, at::kBFloat16).abs_().add_(1);
    const auto clean = pack(*kernels, weight);
    const auto x = at::randn({15, 898}, at::kBFloat16).abs_().add_(1);
    const auto expected = multiply(*kernels, *clean, x, 66, {});
    weight[65][897] = kInfinity;
    weight[3][0] = NAN;
    const auto packed = pack(*kernels, weight);
    const auto spoilt = x.clone();
    spoilt[14][5] = -kInfinity;
    spoilt[2][9] = NAN;
    const auto out = multiply(*kernels, *packed, spoilt, 66, {}).to(at::kFloat);
    for (int64_t m = 0; m < 15; ++m) {
      for (int64_t n = 0; n < 66; ++n) {
        const float value = out[m][n].item<float>();
        if (m == 2 || n == 3 || (m == 14 && n == 65)) {
          EXPECT_TRUE(std::isnan(value)) << kernels->name << m << " " << n;
        } else if (m == 14 || n == 65) {
          EXPECT_EQ(value, m == 14 ? -kInfinity : kInfinity) << kernels->name << m << " " << n;
        } else {
          EXPECT_EQ(value, expected[m][n].to(at::kFloat).item<float>()) << kernels->name << m << " " << n;
        }
      }
    }
  }
}

TEST(CpuKernels, WhatIsRoundedIsLookedUp) {
  at::manual_seed(9);
  const auto order = at::randperm(65536, at::kInt).to(at::kShort);
  const auto* const table = static_cast<const Bf16*>(order.const_data_ptr());
  for (const auto& [n, k] : {std::pair<int64_t, int64_t>{70, 62}, {64, 2048}, {32, 896}}) {
    const auto weight = at::randn({n, k}, at::kBFloat16), bias = at::randn({n}, at::kBFloat16);
    for (const auto* kernels : levels()) {
      const auto packed = pack(*kernels, weight);
      for (const int64_t m : {1, 2, 5, 13, 40, 225}) {
        const auto x = at::randn({m, k}, at::kBFloat16);
        const auto plain = multiply(*kernels, *packed, x, n, bias);
        EXPECT_TRUE(at::equal(bits(multiply(*kernels, *packed, x, n, bias, table)), bits(looked_up(table, plain)))) << name(*kernels, n, k, m);
      }
    }
  }
}

// Rows that share sets of the cache and of which a part is multiplied: groups of all sizes, chunks that are not whole.
TEST(CpuKernels, RowsThatLieApartAreWhatTheyAreBesideEachOther) {
  at::manual_seed(13);
  for (const int64_t k : {62, 450, 588, 1024}) {
    const auto weight = at::randn({40, k}, at::kBFloat16), all = at::randn({150, 2048}, at::kBFloat16);
    for (const auto* kernels : levels()) {
      const auto packed = pack(*kernels, weight);
      for (const int64_t m : {1, 13, 17, 40, 150}) {
        const auto x = all.narrow(0, 0, m).narrow(1, 50, k);
        const auto apart = multiply(*kernels, *packed, x, 40, {});
        expect_sums(apart, x, weight, {}, name(*kernels, 40, k, m));
        EXPECT_TRUE(at::equal(bits(apart), bits(multiply(*kernels, *packed, x.contiguous(), 40, {})))) << name(*kernels, 40, k, m);
      }
    }
  }
}

// 400 rows are three strips of AVX-512 and five of AVX2, whose last is not whole; rows of 2,048 numbers share places of the cache.
TEST(CpuKernels, StripsApartAreTheWhole) {
  at::manual_seed(10);
  for (const int64_t k : {64, 2048}) {
    const auto weight = at::randn({70, k}, at::kBFloat16), x = at::randn({400, k}, at::kBFloat16);
    for (const auto* kernels : levels()) {
      if (kernels == &kScalarKernels && k > 64) continue;
      const auto packed = pack(*kernels, weight);
      const auto whole = multiply(*kernels, *packed, x, 70, {});
      expect_sums(whole, x, weight, {}, name(*kernels, 70, k, 400));
      EXPECT_TRUE(at::equal(bits(multiply(*kernels, *packed, x, 70, {}, nullptr, true)), bits(whole))) << kernels->name << k;
    }
  }
}

TEST(GeluTable, IsTheTruthOfEveryNumberOfBf16) {
  const auto all = at::arange(65536, at::kInt).to(at::kShort).view(at::kBFloat16);
  const auto out = looked_up(gelu_table(), all);
  EXPECT_TRUE(at::equal(out.isnan(), all.isnan()));
  const auto finite = at::isfinite(all);
  const auto x = all.index({finite}).to(at::kDouble), own = out.index({finite}).to(at::kDouble);
  const auto truth = 0.5 * x * at::erfc(x * -std::sqrt(0.5));
  // Half a step, and once in a while what fp32 between them takes for it; below the normal numbers half of 2^-133.
  EXPECT_TRUE(((own - truth).abs() <= truth.abs() * (0x1p-8 + 0x1p-23) + 0x1p-133).all().item<bool>());
  const auto infinite = at::tensor({std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity()}).to(at::kBFloat16);
  EXPECT_TRUE(at::equal(looked_up(gelu_table(), infinite).to(at::kFloat), at::tensor({std::numeric_limits<float>::infinity(), 0.0f})));
}

TEST(ShareOut, EveryStripOfEveryBlockOnce) {
  for (const int64_t blocks : {1, 2, 7, 150}) {
    for (const int64_t strips : {1, 2, 6}) {
      for (const int64_t threads : {1, 2, 5}) {
        std::vector<std::atomic<int>> done(static_cast<size_t>(blocks * strips));
        share_out_strips(blocks, strips, threads, [&](int64_t begin, int64_t end, int64_t first, int64_t last) {
          for (int64_t block = begin; block < end; ++block) {
            for (int64_t strip = first; strip < last; ++strip) ++done.at(static_cast<size_t>(block * strips + strip));
          }
        });
        for (const auto& times : done) EXPECT_EQ(times, 1) << blocks << " " << strips << " " << threads;
      }
    }
  }
}

TEST(Gelu, IsTheTableWhereNoGradientIsAskedFor) {
  at::manual_seed(14);
  const auto x = at::randn({70, 1000}, at::kBFloat16).mul_(4), wide = x.to(at::kFloat);
  {
    const c10::NoGradGuard no_grad;
    auto own = x.clone();
    const auto out = erf_gelu(own);
    EXPECT_TRUE(out.is_same(own));
    EXPECT_TRUE(at::equal(bits(out), bits(looked_up(gelu_table(), x))));
    EXPECT_TRUE(at::equal(erf_gelu(wide.clone()), at::gelu(wide)));
  }
  EXPECT_TRUE(at::equal(erf_gelu(x), at::gelu(x)));
  const auto learnt = wide.clone().requires_grad_(true);
  EXPECT_TRUE(erf_gelu(learnt).requires_grad());
}

TEST(CpuKernels, DenormalsAreThemselvesOrZero) {
  const auto weight = at::full({32, 64}, 1e-39, at::kBFloat16);
  const auto x = at::ones({3, 64}, at::kBFloat16);
  for (const auto* kernels : levels()) {
    expect_sums(multiply(*kernels, *pack(*kernels, weight), x, 32, {}), x, weight, {}, kernels->name);
  }
}

TEST(PackedMatrix, ThreadsAndShapesOfXChangeNoBit) {
  at::manual_seed(5);
  const int before = at::get_num_threads();
  const auto weight = at::randn({2079, 896}, at::kBFloat16), bias = at::randn({2079}, at::kBFloat16);
  for (const auto* kernels : levels()) {
    if (kernels == &kScalarKernels) continue;
    const auto memory = std::make_shared<PackedMemory>(PackedMatrix::bytes(weight.size(0), weight.size(1)));
    const PackedMatrix packed(weight, memory, *kernels);
    EXPECT_TRUE(at::equal(packed.rows(0, 2079), weight));
    EXPECT_TRUE(at::equal(packed.rows(33, 1000), weight.narrow(0, 33, 1000)));
    for (const int64_t m : {1, 5, 40}) {
      const auto x = at::randn({m, 1000}, at::kBFloat16).narrow(1, 50, 896);  // rows apart
      at::set_num_threads(1);
      const auto one = packed.product(x, bias);
      at::set_num_threads(2);
      EXPECT_TRUE(at::equal(packed.product(x, bias), one)) << kernels->name << m;
      EXPECT_TRUE(at::equal(packed.product(x.contiguous().view({1, m, 896}), bias), one.unsqueeze(0)));
      EXPECT_TRUE(at::equal(packed.product(x.t().contiguous().t(), bias), one));
      expect_sums(one, x, weight, bias, kernels->name);
    }
    EXPECT_EQ(packed.product(at::empty({0, 896}, at::kBFloat16), {}).sizes(), (std::vector<int64_t>{0, 2079}));
  }
  at::set_num_threads(before);
}

// More of x than caches hold: strip by strip, rows of several strips and of the last, which is not whole.
TEST(PackedMatrix, ManyLongRowsAreWhatTheyAreAlone) {
  at::manual_seed(8);
  constexpr int64_t kRows = 470, kInner = 5216, kOut = 100;
  static_assert(kRows * kInner * 2 > 4 << 20);  // kNearBytes of avx512.cpp and amx.cpp, and more than that of avx2.cpp
  const auto weight = at::randn({kOut, kInner}, at::kBFloat16), x = at::randn({kRows, kInner}, at::kBFloat16);
  for (const auto* kernels : levels()) {
    if (kernels == &kScalarKernels) continue;
    const auto memory = std::make_shared<PackedMemory>(PackedMatrix::bytes(kOut, kInner));
    const PackedMatrix packed(weight, memory, *kernels);
    const auto all = packed.product(x, {});
    for (const int64_t begin : {0, 190, 191, 192, 300, 460}) {
      const auto own = packed.product(x.narrow(0, begin, 10), {});
      EXPECT_TRUE(at::equal(bits(own), bits(all.narrow(0, begin, 10)))) << kernels->name << begin;
    }
  }
}

// Several strips and their last blocks, by one thread and by several.
TEST(PackedMatrix, ThreadsShareBlocksStripByStrip) {
  at::manual_seed(11);
  const int before = at::get_num_threads();
  const auto weight = at::randn({331, 896}, at::kBFloat16), x = at::randn({500, 896}, at::kBFloat16);
  for (const auto* kernels : levels()) {
    if (kernels == &kScalarKernels) continue;
    const PackedMatrix packed(weight, std::make_shared<PackedMemory>(PackedMatrix::bytes(331, 896)), *kernels);
    at::set_num_threads(1);
    const auto one = packed.product(x, {});
    expect_sums(one, x, weight, {}, kernels->name);
    for (const int threads : {2, 3}) {
      at::set_num_threads(threads);
      EXPECT_TRUE(at::equal(packed.product(x, {}), one)) << kernels->name << threads;
    }
  }
  at::set_num_threads(before);
}

// 2,048 columns, whose rows would share places of the cache, lie apart for who reads them.
TEST(PackedMatrix, ActivatesWhatIsRounded) {
  at::manual_seed(12);
  for (const int64_t n : {70, 2048}) {
    const auto weight = at::randn({n, 64}, at::kBFloat16), bias = at::randn({n}, at::kBFloat16), x = at::randn({2, 20, 64}, at::kBFloat16);
    for (const auto* kernels : levels()) {
      const PackedMatrix packed(weight, std::make_shared<PackedMemory>(PackedMatrix::bytes(n, 64)), *kernels);
      const auto out = packed.product(x, bias, Activation::kGelu);
      EXPECT_EQ(out.sizes(), (std::vector<int64_t>{2, 20, n}));
      EXPECT_EQ(out.is_contiguous(), n != 2048);
      EXPECT_TRUE(at::equal(out, looked_up(gelu_table(), packed.product(x, bias)))) << kernels->name << n;
      const auto next = at::randn({33, n}, at::kBFloat16);
      const PackedMatrix behind(next, std::make_shared<PackedMemory>(PackedMatrix::bytes(33, n)), *kernels);
      EXPECT_TRUE(at::equal(behind.product(out, {}), behind.product(out.contiguous(), {}))) << kernels->name << n;
    }
    for (const auto form : {WeightForm::kInt8, WeightForm::kInt4, WeightForm::kFp8}) {
      const WeightScheme scheme{form};
      const PackedMatrix packed(n, 64, scheme, std::make_shared<PackedMemory>(PackedMatrix::bytes(n, 64, scheme)), quantised_kernels());
      packed.fill(weight.to(at::kFloat).const_data_ptr(), 0, packed.blocks());
      for (const int64_t rows : {3, 40}) {
        const auto some = x.view({40, 64}).narrow(0, 0, rows);
        EXPECT_TRUE(at::equal(packed.product(some, bias, Activation::kGelu), looked_up(gelu_table(), packed.product(some, bias))))
            << static_cast<int>(form) << rows;
      }
    }
  }
}

TEST(PackedMatrix, TakesWhatItCanMultiply) {
  EXPECT_TRUE(PackedMatrix::takes(3, 2));
  EXPECT_FALSE(PackedMatrix::takes(3, 3));
  EXPECT_FALSE(PackedMatrix::takes(0, 2));
}

TEST(CpuKernels, TheLevelDecides) {
  EXPECT_EQ(&cpu_kernels_for({CpuLevel::kScalar, false}), &kScalarKernels);
  EXPECT_FALSE(PackedMatrix::suits(kScalarKernels, 1));
#if defined(__x86_64__)
  EXPECT_EQ(&cpu_kernels_for({CpuLevel::kAvx2, false}), &kAvx2Kernels);
  EXPECT_EQ(&cpu_kernels_for({CpuLevel::kAvx512, false}), &kAvx2BesideAvx512Kernels);
  EXPECT_TRUE(PackedMatrix::suits_all_rows(kAvx2Kernels));
  EXPECT_TRUE(PackedMatrix::suits(kAvx2BesideAvx512Kernels, 63) && !PackedMatrix::suits(kAvx2BesideAvx512Kernels, 64));
  EXPECT_EQ(&cpu_kernels_for({CpuLevel::kAvx512, true}), &kAvx512Kernels);
  EXPECT_EQ(&cpu_kernels_for({CpuLevel::kAmx, true}), &amx_kernels());
  EXPECT_EQ(&cpu_kernels_for(capped(detect_cpu(), "scalar")), &kScalarKernels);
#endif
}

}  // namespace
}  // namespace facellm

// Weights in 8 and 4 bits, every level that this processor has: codes and sums are the scalar unit's bit for bit, errors
// within what the formats promise, and not a byte touched that is not theirs.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "checkpoint/checkpoint.h"
#include "core/cpu_level.h"
#include "core/error.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/packed_matrix.h"
#include "model/load_weights.h"
#include "tiny_model.h"

namespace facellm {
namespace {

std::vector<const QuantisedKernels*> levels() {
  std::vector<const QuantisedKernels*> found{&kScalarQuantised};
#if defined(__x86_64__)
  const auto cpu = detect_cpu();
  if (cpu.level >= CpuLevel::kAvx2) found.push_back(&kAvx2Quantised);
  if (cpu.has_avx512_vnni) found.push_back(&kAvx512Quantised);
#endif
  return found;
}

// Bytes whose pages end where they end.
class Guarded {
 public:
  explicit Guarded(int64_t count) : count_(static_cast<size_t>(count)) {
    const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
    const size_t bytes = (count_ + page - 1) / page * page;
    total_ = bytes + 2 * page;
    base_ = static_cast<std::byte*>(::mmap(nullptr, total_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    ::mprotect(base_ + page, bytes, PROT_READ | PROT_WRITE);
    begin_ = base_ + page + bytes - count_;
  }
  explicit Guarded(const at::Tensor& values) : Guarded(static_cast<int64_t>(values.nbytes())) {
    const auto own = values.contiguous();
    std::memcpy(begin_, own.const_data_ptr(), count_);
  }
  ~Guarded() { ::munmap(base_, total_); }
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;
  void* data() const { return begin_; }
  uint8_t* bytes() const { return reinterpret_cast<uint8_t*>(begin_); }
  bool equals(const Guarded& other) const { return count_ == other.count_ && std::memcmp(begin_, other.begin_, count_) == 0; }
  at::Tensor tensor(at::IntArrayRef shape, at::ScalarType dtype) const {
    return at::from_blob(begin_, shape, dtype).clone();
  }

 private:
  size_t count_, total_;
  std::byte *base_, *begin_;
};

int64_t blocks_of(int64_t rows) { return (rows + kBlockRows - 1) / kBlockRows; }

struct Case {
  bool is_int8;
  int64_t n, k, group;
  const QuantisedForm& of(const QuantisedKernels& kernels) const { return is_int8 ? kernels.int8 : kernels.int4; }
  int64_t packed_bytes() const {
    return blocks_of(n) * (is_int8 ? int8_block_bytes(k) : int4_block_bytes(k, group));
  }
  std::string name(const QuantisedKernels& kernels, int64_t m) const {
    return std::string(kernels.name) + (is_int8 ? " int8" : " int4") + " N " + std::to_string(n) + " K " +
           std::to_string(k) + " G " + std::to_string(group) + " M " + std::to_string(m);
  }
};

// Of the models (cut in N), and tails of everything.
std::vector<Case> cases() {
  std::vector<Case> all;
  for (const auto& [n, k] : {std::pair<int64_t, int64_t>{96, 896}, {64, 4864}, {32, 18944}, {70, 62}, {33, 588}, {1, 2},
                             {31, 30}, {64, 128}, {65, 450}, {40, 5}}) {
    all.push_back({true, n, k, 64});
    for (const int64_t group : {32, 64, 128}) all.push_back({false, n, k, group});
  }
  return all;
}

std::unique_ptr<Guarded> pack(const Case& c, const QuantisedKernels& kernels, const at::Tensor& weight) {
  auto packed = std::make_unique<Guarded>(c.packed_bytes());
  const Guarded own(weight);
  c.of(kernels).pack(packed->bytes(), static_cast<const float*>(own.data()), c.k, c.n, c.k, c.group, 0, blocks_of(c.n));
  return packed;
}

at::Tensor unpack(const Case& c, const QuantisedKernels& kernels, const Guarded& packed) {
  const Guarded rows(c.n * c.k * 4);
  c.of(kernels).unpack(static_cast<float*>(rows.data()), c.k, packed.bytes(), c.n, c.k, c.group, 0, blocks_of(c.n));
  return rows.tensor({c.n, c.k}, at::kFloat);
}

at::Tensor multiply(const Case& c, const QuantisedKernels& kernels, const Guarded& packed, const at::Tensor& x,
                    const at::Tensor& bias) {
  const int64_t rows = x.size(0), item = x.element_size();
  const auto& form = c.of(kernels);
  const Guarded own_x(x), out(rows * c.n * item), arranged(form.arranged_bytes(rows, c.k, c.group));
  const auto own_bias = bias.defined() ? std::make_unique<Guarded>(bias) : nullptr;
  const QuantisedProduct product{packed.bytes(), c.n, c.k, c.group, own_x.data(), c.k, rows, x.scalar_type() == at::kFloat,
                                 arranged.data(), own_bias ? own_bias->data() : nullptr, out.data(), c.n};
  form.arrange(&product, 0, rows);
  form.multiply(&product, 0, blocks_of(c.n));
  return out.tensor({rows, c.n}, x.scalar_type());
}

bool same_bits(const at::Tensor& x, const at::Tensor& y) {
  const auto a = x.contiguous(), b = y.contiguous();
  return a.sizes() == b.sizes() && a.nbytes() == b.nbytes() &&
         std::memcmp(a.const_data_ptr(), b.const_data_ptr(), a.nbytes()) == 0;
}

TEST(QuantisedKernels, CodesAreTheSameOnEveryLevelAndNearTheWeights) {
  at::manual_seed(1);
  for (const auto& c : cases()) {
    auto weight = at::randn({c.n, c.k}).mul_(0.05);
    weight.select(0, 0).zero_();
    const auto reference = pack(c, kScalarQuantised, weight);
    const auto back = unpack(c, kScalarQuantised, *reference);
    for (const auto* kernels : levels()) {
      const auto packed = pack(c, *kernels, weight);
      EXPECT_TRUE(packed->equals(*reference)) << c.name(*kernels, 0);
      EXPECT_TRUE(same_bits(unpack(c, *kernels, *packed), back)) << c.name(*kernels, 0);
    }
    const auto error = (back - weight).abs();
    const auto most = weight.abs().amax(1, true);
    if (c.is_int8) {
      // Half a step, and the roundings of scale and quotient.
      EXPECT_TRUE((error <= most * (0.5 / 127) * (1 + 1e-5)).all().item<bool>()) << c.name(kScalarQuantised, 0);
      // What is on the grid stays there.
      const auto again = unpack(c, kScalarQuantised, *pack(c, kScalarQuantised, back));
      EXPECT_TRUE(at::allclose(again, back, 1e-6, 0)) << c.name(kScalarQuantised, 0);
    } else {
      // The search is never worse than the plain scale, which puts the largest value on -8.
      for (int64_t k = 0; k < c.k; k += c.group) {
        const auto own = weight.narrow(1, k, std::min(c.group, c.k - k));
        const auto largest = own.gather(1, own.abs().argmax(1, true));
        const auto scale = (largest / -8).to(at::kHalf).to(at::kFloat);
        const auto plain = (own / scale).round().clamp(-8, 7).mul(scale).sub(own).square().sum(1);
        const auto ours = error.narrow(1, k, own.size(1)).square().sum(1);
        EXPECT_TRUE((ours <= plain * (1 + 1e-4) + 1e-12).logical_or(plain.isnan()).all().item<bool>())
            << c.name(kScalarQuantised, 0);
      }
    }
  }
}

TEST(QuantisedKernels, SumsAreTheScalarUnitsBitForBitAndNearTheTruth) {
  at::manual_seed(2);
  for (const auto& c : cases()) {
    const auto weight = at::randn({c.n, c.k}).mul_(0.05);
    const auto packed = pack(c, kScalarQuantised, weight);
    const auto truth_of_codes = unpack(c, kScalarQuantised, *packed).to(at::kDouble);
    // From 24 rows on AVX2 widens codes once for 96, strip by strip where x is large.
    const int64_t most = c.k == 18944 ? 97 : c.n * c.k <= 1 << 12 ? 200 : 24;
    auto all = at::randn({most, c.k});
    all.select(0, 2).zero_();
    all.select(0, 3).mul_(1e-32);
    for (const auto dtype : {at::kBFloat16, at::kFloat}) {
      const auto bias = at::randn({c.n}).to(dtype), x = all.to(dtype);
      const auto expected = multiply(c, kScalarQuantised, *packed, x, bias);
      const auto without = multiply(c, kScalarQuantised, *packed, x.narrow(0, 0, 24), {});
      for (const auto* kernels : levels()) {
        for (const int64_t m : {1, 2, 3, 4, 5, 6, 7, 13, 19, 24, 97, 200}) {
          if (m > most) continue;
          const auto own = x.narrow(0, 0, m);
          EXPECT_TRUE(same_bits(multiply(c, *kernels, *packed, own, bias), expected.narrow(0, 0, m))) << c.name(*kernels, m);
          if (m > 24) continue;
          EXPECT_TRUE(same_bits(multiply(c, *kernels, *packed, own, {}), without.narrow(0, 0, m))) << c.name(*kernels, m);
        }
      }
      // x loses half a code, largest / 8191 / 2, a column; sums of fp32 are at most K / 32 long.
      const auto wide = x.to(at::kDouble);
      const auto truth = at::mm(wide, truth_of_codes.t()) + bias.to(at::kDouble);
      const auto lost = wide.abs().amax(1, true) * (0.5001 / 8191) * truth_of_codes.abs().sum(1).unsqueeze(0);
      const auto sums = at::mm(wide.abs(), truth_of_codes.abs().t()) * (static_cast<double>(c.k) / 32 + 4) * 0x1p-24;
      const auto allowed = lost + sums + truth.abs() * (dtype == at::kFloat ? 0x1p-22 : 0x1p-8) + 1e-30;
      const auto error = (expected.to(at::kDouble) - truth).abs();
      EXPECT_TRUE((error <= allowed).all().item<bool>())
          << c.name(kScalarQuantised, most) << " worst " << (error / allowed).max().item<double>();
    }
  }
}

// Every product as large as it can be, and all of one sign: lanes of 32 bits come as near to their end as they ever do.
TEST(QuantisedKernels, SumsOfTheLargestCodesAreExact) {
  constexpr int64_t kLong = 18944;
  for (const float sign : {1.0f, -1.0f}) {
    const auto weight = at::full({33, kLong}, 0.5f), x = at::full({24, kLong}, 3 * sign).to(at::kBFloat16);
    for (const Case& c : {Case{true, 33, kLong, 64}, Case{false, 33, kLong, 64}, Case{false, 33, kLong, 128}}) {
      const auto packed = pack(c, kScalarQuantised, weight);
      const auto expected = multiply(c, kScalarQuantised, *packed, x, {});
      EXPECT_NEAR(expected[0][0].item<float>(), 1.5f * sign * kLong, 1.5f * kLong * 0x1p-7f);
      for (const auto* kernels : levels()) {
        for (const int64_t m : {1, 3, 24}) {
          EXPECT_TRUE(same_bits(multiply(c, *kernels, *packed, x.narrow(0, 0, m), {}), expected.narrow(0, 0, m))) << c.name(*kernels, m);
        }
      }
    }
  }
}

TEST(QuantisedKernels, ARowWithInfinityOrNanGivesNanAndNoOtherRowKnowsOfIt) {
  at::manual_seed(3);
  const auto weight = at::randn({66, 130});
  for (const Case& c : {Case{true, 66, 130, 64}, Case{false, 66, 130, 64}}) {
    const auto packed = pack(c, kScalarQuantised, weight);
    const auto x = at::randn({4, 130}).to(at::kBFloat16);
    auto spoilt = x.clone();
    spoilt[1][129] = std::numeric_limits<float>::infinity();
    spoilt[3][0] = NAN;
    for (const auto* kernels : levels()) {
      const auto clean = multiply(c, *kernels, *packed, x, {}), out = multiply(c, *kernels, *packed, spoilt, {});
      for (const int64_t row : {0, 2}) EXPECT_TRUE(same_bits(out[row], clean[row])) << c.name(*kernels, 4);
      for (const int64_t row : {1, 3}) EXPECT_TRUE(out[row].isnan().all().item<bool>()) << c.name(*kernels, 4);
    }
  }
}

TEST(QuantisedMatrix, ThreadsAndCompanyChangeNoBitAndManyRowsAreNearFewOnes) {
  at::manual_seed(4);
  const int before = at::get_num_threads();
  const auto weight = at::randn({2079, 896}).mul_(0.05), bias = at::randn({2079}, at::kBFloat16);
  for (const auto scheme : {WeightScheme{WeightForm::kInt8, 64}, WeightScheme{WeightForm::kInt4, 64}}) {
    for (const auto* kernels : levels()) {
      const auto memory = std::make_shared<PackedMemory>(PackedMatrix::bytes(2079, 896, scheme));
      const PackedMatrix packed(2079, 896, scheme, memory, *kernels);
      packed.fill(weight.const_data_ptr(), 0, packed.blocks());
      const auto rows = packed.rows(0, 2079);
      EXPECT_TRUE(at::equal(packed.rows(33, 1000), rows.narrow(0, 33, 1000)));
      const auto x = at::randn({70, 1000}, at::kBFloat16).narrow(1, 50, 896);  // rows apart
      at::set_num_threads(1);
      const auto few = packed.product(x.narrow(0, 0, 4), bias);
      at::set_num_threads(2);
      EXPECT_TRUE(at::equal(packed.product(x.narrow(0, 0, 4), bias), few)) << kernels->name;
      EXPECT_TRUE(at::equal(packed.product(x.narrow(0, 1, 1), bias), few.narrow(0, 1, 1))) << kernels->name;
      const auto many = packed.product(x, bias);
      const auto truth = at::linear(x.to(at::kFloat), rows, bias.to(at::kFloat));
      for (const auto& [out, count] : {std::pair(few, 4), std::pair(many, 70)}) {
        const auto own = truth.narrow(0, 0, count);
        EXPECT_LE((out.to(at::kFloat) - own).abs().max().item<float>(), 0x1p-8f * own.abs().max().item<float>());
      }
      EXPECT_EQ(packed.product(at::empty({0, 896}, at::kBFloat16), {}).sizes(), (std::vector<int64_t>{0, 2079}));
    }
  }
  at::set_num_threads(before);
}

// Tails of rows, of quads and of groups.
TEST(QuantisedMatrix, ExpandedBlocksAreWhatTheCodesStandFor) {
  at::manual_seed(5);
  for (const auto* kernels : levels()) {
    for (const auto& [n, k] : {std::pair<int64_t, int64_t>{64, 896}, {32, 898}, {96, 30}, {32, 2}, {32, 130}}) {
      const auto weight = at::randn({n, k});
      for (const auto scheme : {WeightScheme{WeightForm::kInt8, 64}, {WeightForm::kInt4, 32}, {WeightForm::kInt4, 64}, {WeightForm::kInt4, 128}}) {
        const bool is_int8 = scheme.form == WeightForm::kInt8;
        const auto& form = is_int8 ? kernels->int8 : kernels->int4;
        if (form.expand == nullptr) continue;
        const int64_t bytes = is_int8 ? int8_block_bytes(k) : int4_block_bytes(k, scheme.group);
        const Guarded packed(bytes * n / 32), block(32 * k * 2);
        form.pack(packed.bytes(), weight.data_ptr<float>(), k, n, k, scheme.group, 0, n / 32);
        const auto rows = at::empty({n, k});
        form.unpack(rows.data_ptr<float>(), k, packed.bytes(), n, k, scheme.group, 0, n / 32);
        for (int64_t b = 0; b < n / 32; ++b) {
          form.expand(static_cast<uint16_t*>(block.data()), packed.bytes() + b * bytes, k, scheme.group);
          // [K/2][32][2] -> [32][K]
          const auto own = at::from_blob(block.data(), {k / 2, 32, 2}, at::kBFloat16).permute({1, 0, 2}).reshape({32, k}).to(at::kFloat);
          const auto wanted = rows.narrow(0, b * 32, 32);
          if (is_int8) {
            const auto scales = at::from_blob(packed.bytes() + b * bytes, {32, 1}, at::kFloat);
            EXPECT_TRUE(at::equal(own * scales, wanted)) << k;
          } else {
            EXPECT_TRUE(((own - wanted).abs() <= wanted.abs() * 0x1p-8f).all().item<bool>()) << k << " group " << scheme.group;
          }
        }
      }
    }
  }
}

// Lanes against loops: all finite codes of fp8 and all of nf4's, scales of either end of fp32, tails of quads, eights and groups.
TEST(QuantisedMatrix, ExpandedFloatCodesHaveTheSameBitsOnEveryLevel) {
  constexpr float kScales[] = {0.0123f, 1.0f, 0.0f, 3.7e-39f, 1.17549435e-38f, 2.9e35f, 0x1.fffffep-3f, 0x1.010102p-6f};
  for (const bool is_fp8 : {true, false}) {
    for (const int64_t k : {2, 6, 66, 70, 192}) {
      const Guarded packed(is_fp8 ? fp8_block_bytes(k) : nf4_block_bytes(k));
      const int64_t size = is_fp8 ? fp8_block_bytes(k) : kNf4RecordBytes;
      // Of 64 codes at least, so that four of them have all.
      for (int part = 0; part < 4; ++part) {
        for (int64_t record = 0; record < (is_fp8 ? 1 : (k + 63) / 64); ++record) {
          uint8_t* const own = packed.bytes() + record * size;
          for (int64_t r = 0; r < 32; ++r) std::memcpy(own + r * 4, &kScales[(r + record) % 8], 4);
          for (int64_t i = 128; i < size; ++i) {
            const int64_t place = i - 128, row = place / 4 % 32, column = place / 128 * 4 + place % 4;
            const auto code = static_cast<uint8_t>(part * 64 + row * 2 + column * 31 + record * 7);
            own[i] = is_fp8 && (code & 0x7f) == 0x7f ? 0 : code;
          }
        }
        const Guarded expected(32 * k * 2), block(32 * k * 2);
        const auto& plain = is_fp8 ? kScalarQuantised.fp8 : kScalarQuantised.nf4;
        ASSERT_NE(plain.expand, nullptr);
        plain.expand(static_cast<uint16_t*>(expected.data()), packed.bytes(), k, 64);
        for (const auto* kernels : levels()) {
          const auto& form = is_fp8 ? kernels->fp8 : kernels->nf4;
          if (form.expand == nullptr) continue;
          std::memset(block.data(), 0xff, static_cast<size_t>(32 * k * 2));
          form.expand(static_cast<uint16_t*>(block.data()), packed.bytes(), k, 64);
          EXPECT_TRUE(block.equals(expected)) << kernels->name << (is_fp8 ? " fp8" : " nf4") << " K " << k << " part " << part;
        }
      }
    }
  }
}

// The output's rounding, sums of K products in fp32, and for int4 the rounding of what codes stand for.
TEST(QuantisedMatrix, ManyRowsAreNearTheTruthAndInvariantOnesKeepTheirBits) {
  at::manual_seed(6);
  for (const auto form : {WeightForm::kInt8, WeightForm::kInt4}) {
    for (const auto& [n, k] : {std::pair<int64_t, int64_t>{70, 898}, {33, 896}, {2079, 64}}) {
      const auto weight = at::randn({n, k}).mul_(0.05), bias = at::randn({n}, at::kBFloat16), x = at::randn({70, k}, at::kBFloat16);
      for (const bool is_invariant : {false, true}) {
        const WeightScheme scheme{form, 64, is_invariant};
        const PackedMatrix packed(n, k, scheme, std::make_shared<PackedMemory>(PackedMatrix::bytes(n, k, scheme)), quantised_kernels());
        packed.fill(weight.const_data_ptr(), 0, packed.blocks());
        const auto rows = packed.rows(0, n).to(at::kDouble), wide = x.to(at::kDouble);
        const auto truth = at::linear(wide, rows, bias.to(at::kDouble));
        const auto magnitude = at::mm(wide.abs(), rows.abs().t()) + bias.to(at::kDouble).abs();
        // Few rows have x in 14 bits, 2^-14 of its row's largest.
        const auto of_x = std::get<0>(wide.abs().max(1, true)) * 0x1p-14 * rows.abs().sum(1).unsqueeze(0);
        const auto allowed = truth.abs() * 0x1p-8 + magnitude * (static_cast<double>(k + 2) * 0x1p-23 + (form == WeightForm::kInt4 ? 0x1p-8 : 0)) + of_x;
        const auto few = packed.product(x.narrow(0, 0, 5), bias);
        for (const int64_t m : {15, 16, 17, 31, 32, 70}) {
          const auto out = packed.product(x.narrow(0, 0, m), bias);
          const auto error = (out.to(at::kDouble) - truth.narrow(0, 0, m)).abs();
          EXPECT_TRUE((error <= allowed.narrow(0, 0, m)).all().item<bool>()) << n << " " << k << " M " << m;
          const bool is_exact = is_invariant && m <= (form == WeightForm::kInt8 ? quantised_kernels().int8 : quantised_kernels().int4).most_rows;
          if (is_exact) {
            EXPECT_TRUE(at::equal(out.narrow(0, 0, 5), few)) << m;
          }
        }
        const auto narrow = packed.product(x, {}), wide_x = packed.product(x.to(at::kFloat), {});
        EXPECT_LE((narrow.to(at::kDouble) - wide_x.to(at::kDouble)).abs().max().item<double>(), (2 * allowed).max().item<double>());
      }
    }
  }
}

TEST(QuantisedMatrix, TheLevelDecides) {
  EXPECT_EQ(&quantised_kernels_for({CpuLevel::kScalar, false}), &kScalarQuantised);
#if defined(__x86_64__)
  EXPECT_EQ(&quantised_kernels_for({CpuLevel::kAvx2, false}), &kAvx2Quantised);
  EXPECT_EQ(&quantised_kernels_for({CpuLevel::kAvx512, true, false}), &kAvx2Quantised);
  EXPECT_EQ(&quantised_kernels_for({CpuLevel::kAvx512, false, true}), &kAvx512Quantised);
#endif
}

// The loader, whose pieces cross the borders of q, k and v.
TEST(PackedLoading, EveryFormIsMadeOfTheCheckpointsRows) {
  const c10::NoGradGuard no_grad;
  const auto checkpoint = Checkpoint::open({kTinyWeights}, {});
  for (const auto dtype : {at::kBFloat16, at::kFloat}) {
    for (const std::string form : {"stored", "int8", "int4"}) {
      InternVl model(tiny_model(kTinyWeights, "").config, true, at::kCPU, dtype);
      const auto sites = make_room_for_packed(model, {form, form, form, 32}, false);
      int64_t last = 0, total = 0;
      load_weights(model, checkpoint, [&](int64_t done, int64_t all) { last = done, total = all; }, {}, {true, {}, sites});
      EXPECT_EQ(last, total);
      const bool is_quantised = form != "stored";
      if (is_quantised) {
        EXPECT_GT(sites.size(), 8u);
      }
      for (const auto& site : sites) {
        for (const auto& [name, begin, count] : site.slices) {
          const auto wanted = checkpoint.view(name + ".weight").to(at::kFloat).reshape({count, -1});
          const auto rows = site.linear->weight_rows(begin, count).to(at::kFloat);
          if (site.scheme.form == WeightForm::kBf16) {
            EXPECT_TRUE(at::equal(rows, wanted.to(at::kBFloat16).to(at::kFloat))) << name;
          } else {
            EXPECT_LE((rows - wanted).norm().item<float>(), (form == "int8" ? 0.01f : 0.12f) * wanted.norm().item<float>())
                << name << form;
          }
        }
      }
    }
  }
}

TEST(PackedLoading, FormsThatThereAreNotAreErrors) {
  InternVl model(tiny_model(kTinyWeights, "").config, true, at::kCPU, at::kFloat);
  EXPECT_THROW(make_room_for_packed(model, {"int3", "stored", "stored", 64}, false), Error);
  EXPECT_THROW(make_room_for_packed(model, {"int4", "stored", "stored", 48}, false), Error);
  // Of another device's model what is stored stays there.
  InternVl elsewhere(tiny_model(kTinyWeights, "").config, true, at::kMeta, at::kBFloat16);
  EXPECT_TRUE(make_room_for_packed(elsewhere, {"stored", "stored", "stored", 64}, false).empty());
}

}  // namespace
}  // namespace facellm

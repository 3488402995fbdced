// Weights in 8 and 4 bits on a GPU, on the CPU: products within what their sums' roundings allow, what is put back bit for bit.
#include "caught.h"
#include "quantised_check.h"

namespace facellm {
namespace {

TEST(QuantisedOnCpu, ProductsNearTruth) {
  cuda_on_cpu::in_all_orders([] {
    const Comparison comparison = check_quantised_product_shapes(quantised_product_cuda);
    EXPECT_GT(comparison.elements, 0);
    EXPECT_EQ(comparison.different, 0) << comparison.first;
  });
}

TEST(QuantisedOnCpu, PutsBackWhatTheCpuDoes) {
  cuda_on_cpu::in_all_orders([] {
    const Comparison comparison = check_dequantise_shapes(dequantise_cuda);
    EXPECT_GT(comparison.elements, 0);
    EXPECT_EQ(comparison.different, 0) << comparison.first;
  });
}

// Every code, and every scale of fp16.
TEST(QuantisedOnCpu, EveryCode) {
  for (const auto form : {WeightForm::kInt8, WeightForm::kFp8}) {
    PackedSample weight(form, 32, 256, 64);
    const int64_t head = form == WeightForm::kInt8 ? kInt8HeadBytes : kFp8HeadBytes;
    for (int64_t i = 0; i < 256 * 32; ++i) {
      const auto code = static_cast<uint8_t>(i / 128 * 4 + i % 4);
      // 0x7f and 0xff are no numbers of fp8.
      weight.blocks[static_cast<size_t>(head + i)] = form == WeightForm::kFp8 && (code & 0x7f) == 0x7f ? 0 : code;
    }
    for (int64_t r = 0; r < 32; ++r) {
      const float one = 1;
      std::memcpy(&weight.blocks[static_cast<size_t>(r * 4)], &one, 4);
    }
    PackedSample::kernels_of(form).unpack(weight.values.data(), 256, weight.blocks.data(), 32, 256, 64, 0, 1);
    // x picks one column a row: the code itself comes out, rounded, and no code has more bits than bf16.
    for (int64_t first = 0; first < 256; first += 64) {
      cuda_on_cpu::Buffer<__nv_bfloat16> x(64 * 256, "x"), out(64 * 32, "out");
      for (auto& each : x) each = narrow<__nv_bfloat16>(0);
      for (int64_t r = 0; r < 64; ++r) x[static_cast<size_t>(r * 256 + first + r)] = narrow<__nv_bfloat16>(1);
      quantised_product_cuda(form, x.data(), weight.blocks.data(), nullptr, out.data(), {64, 256, 32, weight.block_bytes, 64, false}, nullptr);
      for (int64_t r = 0; r < 64; ++r) {
        const float expected = weight.values[static_cast<size_t>(5 * 256 + first + r)];
        EXPECT_EQ(wide(out[static_cast<size_t>(r * 32 + 5)]), expected) << "column " << first + r;
      }
    }
  }
  // Numbers and their signs as fp16 has them, but infinities and what is none.
  PackedSample weight(WeightForm::kInt4, 32, 32, 32);
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    if ((bits & 0x7c00) == 0x7c00) continue;
    const auto half = static_cast<uint16_t>(bits);
    std::memcpy(&weight.blocks[static_cast<size_t>(bits % 32 * 2)], &half, 2);
    if (bits % 32 != 31) continue;
    PackedSample::kernels_of(WeightForm::kInt4).unpack(weight.values.data(), 32, weight.blocks.data(), 32, 32, 32, 0, 1);
    cuda_on_cpu::Buffer<float> out(32 * 32, "out");
    dequantise_cuda(WeightForm::kInt4, weight.blocks.data(), out.data(), {32, 32, weight.block_bytes, 32}, false, nullptr);
    Comparison comparison;
    for (size_t i = 0; i < 32 * 32; ++i) comparison.add(out[i], weight.values[i], "scale", bits - 31 + i / 32);
    ASSERT_EQ(comparison.different, 0) << comparison.first;
    bits += 32 * 36;  // a part of them, with all exponents
  }
}

TEST(QuantisedOnCpu, GathersRows) {
  for (const int64_t inner : {6, 64, 896}) {
    PackedSample weight(WeightForm::kInt8, 70, inner, 64);
    cuda_on_cpu::Buffer<int64_t> ids(5, "ids");
    const int64_t wanted[5] = {69, 0, 33, -1, 31};
    std::copy(wanted, wanted + 5, ids.begin());
    cuda_on_cpu::Buffer<__nv_bfloat16> out(static_cast<size_t>(5 * inner), "out");
    for (auto& each : out) each = narrow<__nv_bfloat16>(7);
    gather_int8_cuda(weight.blocks.data(), ids.data(), out.data(), 5, {70, inner, weight.block_bytes, 64}, true, nullptr);
    Comparison comparison;
    for (int64_t i = 0; i < 5; ++i) {
      for (int64_t k = 0; k < inner; ++k) {
        const float expected = wanted[i] < 0 ? 7.f : weight.values[static_cast<size_t>(wanted[i] * inner + k)];
        comparison.add(out[static_cast<size_t>(i * inner + k)], narrow<__nv_bfloat16>(expected), "id", wanted[i], "column", k);
      }
    }
    EXPECT_EQ(comparison.different, 0) << comparison.first;
  }
}

}  // namespace
}  // namespace facellm

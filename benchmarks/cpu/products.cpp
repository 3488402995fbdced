// Products of packed weights beside at::linear, A B B A in one process: what PackedMatrix::suits() stands on.
// facellm_cpu_products [THREADS [PAIRS [ROWS,ROWS,... [SHAPE [FORM]]]]]: a table on standard output, with a read roof taken by
// turns. SHAPE: only shapes whose name contains it. FORM int8, int4 (groups of 64), fp8 or nf4: such weights beside packed bf16 ones; amx: those
// of a machine with AMX, by this one's AVX-512. FACELLM_CPU_ISA caps the level. docs/performance.md has results.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <string>
#include <vector>

#include "kernels/cpu/isa.h"
#include "kernels/cpu/packed_matrix.h"
#include "kernels/product/product.h"

namespace {

using facellm::PackedMatrix;

struct Shape {
  const char* name;
  int64_t out, in;
  bool has_bias;
};

constexpr Shape kShapes[]{
    {"1B qkv", 1152, 896, true},       {"1B o", 896, 896, false},         {"1B gate_up", 9728, 896, false},
    {"1B down", 896, 4864, false},     {"1B head", 151674, 896, false},   {"8B qkv", 4608, 3584, true},
    {"8B o", 3584, 3584, false},       {"8B gate_up", 37888, 3584, false}, {"8B down", 3584, 18944, false},
    {"38B qkv", 7168, 5120, true},    {"38B o", 5120, 5120, false},      {"38B gate_up", 55296, 5120, false},
    {"38B down", 5120, 27648, false}, {"6B qkv", 9600, 3200, false},     {"6B proj", 3200, 3200, true},
    {"6B fc1", 12800, 3200, true},    {"6B fc2", 3200, 12800, true},
    {"ViT qkv", 3072, 1024, true},     {"ViT proj", 1024, 1024, true},    {"ViT fc1", 4096, 1024, true},
    {"ViT fc2", 1024, 4096, true},     {"mlp1", 896, 4096, true},
};

double now_ms() {
  using namespace std::chrono;
  return duration<double, std::milli>(steady_clock::now().time_since_epoch()).count();
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// GB/s of `threads` that add up whole lines of their parts of 512 MB.
double read_roof(const at::Tensor& memory) {
  const auto* data = memory.const_data_ptr<int64_t>();
  const int64_t count = memory.numel();
  int64_t total = 0;
  const double start = now_ms();
  at::parallel_for(0, count, 1, [&](int64_t begin, int64_t end) {
    int64_t sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = begin; i < end; ++i) sum += data[i];
#pragma omp atomic
    total += sum;
  });
  const double took = now_ms() - start;
  if (total != count) std::abort();  // also so that it is computed
  return static_cast<double>(count) * 8 / took * 1e-6;
}

}  // namespace

int main(int argc, char** argv) {
  const c10::InferenceMode inference;
  at::set_num_threads(argc > 1 ? std::atoi(argv[1]) : 2);
  const int pairs = argc > 2 ? std::atoi(argv[2]) : 15;
  std::vector<int64_t> all_rows;
  std::stringstream list(argc > 3 ? argv[3] : "1,2,4,8,16,32");
  for (std::string rows; std::getline(list, rows, ',');) all_rows.push_back(std::atoll(rows.c_str()));
  const auto& kernels = facellm::cpu_kernels();
  const std::string form = argc > 5 ? argv[5] : "bf16";
  const facellm::WeightScheme scheme{form == "int8"   ? facellm::WeightForm::kInt8
                                     : form == "int4" ? facellm::WeightForm::kInt4
                                     : form == "fp8"  ? facellm::WeightForm::kFp8
                                     : form == "nf4"  ? facellm::WeightForm::kNf4
                                                      : facellm::WeightForm::kBf16,
                                     64};
  const bool is_quantised = scheme.form != facellm::WeightForm::kBf16, is_amx = form == "amx", has_two = is_quantised || is_amx;
  if (is_amx && !facellm::cpu_features().has_avx512_bf16) return std::puts("amx: a processor without AVX-512 BF16"), 1;
  const auto memory = at::ones({64 << 20}, at::kLong);
  std::printf("level %s, %d threads, %d pairs; median ms, GB/s of weights, GFLOP/s; ratio: %s time over ours,\n"
              "median of pairs and their quartiles; roof: GB/s read beside it\n",
              is_amx ? "amx" : is_quantised ? facellm::quantised_kernels().name : kernels.name, at::get_num_threads(), pairs,
              has_two ? "packed bf16's" : "libtorch's");
  for (const auto& shape : kShapes) {
    if (argc > 4 && std::strstr(shape.name, argv[4]) == nullptr) continue;
    // Weights come from memory, not from a cache.
    const int64_t bytes = shape.out * shape.in * 2, copies = std::max<int64_t>(1, (int64_t{256} << 20) / bytes);
    const auto packed_memory = std::make_shared<facellm::PackedMemory>(static_cast<size_t>(copies) * (static_cast<size_t>(bytes) + (1 << 16)));
    std::vector<at::Tensor> weights;
    std::vector<PackedMatrix> packed, other;
    const auto own_bytes = static_cast<double>(PackedMatrix::bytes(shape.out, shape.in, scheme));
    const auto other_memory =
        std::make_shared<facellm::PackedMemory>(has_two ? static_cast<size_t>(copies) * static_cast<size_t>(own_bytes + (1 << 16)) : 1);
    double packing = 0;
    for (int64_t i = 0; i < copies; ++i) {
      weights.push_back(at::randn({shape.out, shape.in}, at::kFloat).mul_(0.03).to(at::kBFloat16));
      const double start = now_ms();
      packed.emplace_back(weights.back(), packed_memory, kernels);
      packing += now_ms() - start;
#if defined(__x86_64__)
      if (is_amx) other.emplace_back(weights.back(), other_memory, facellm::amx_kernels());
#endif
      if (!is_quantised) continue;
      const auto wide = weights.back().to(at::kFloat);
      const double before = now_ms();
      other.emplace_back(shape.out, shape.in, scheme, other_memory, facellm::quantised_kernels());
      at::parallel_for(0, other.back().blocks(), 1, [&](int64_t begin, int64_t end) {
        other.back().fill(wide.const_data_ptr<float>() + begin * facellm::kBlockRows * shape.in, begin, end);
      });
      packing += now_ms() - before;
      weights.back() = at::Tensor();
    }
    std::printf("%-10s [%ld, %ld], packed at %.1f GB/s\n", shape.name, shape.out, shape.in,
                static_cast<double>(bytes * copies) / packing * 1e-6);
    const auto bias = shape.has_bias ? at::randn({shape.out}, at::kBFloat16) : at::Tensor();
    for (const int64_t rows : all_rows) {
      const auto x = at::randn({rows, shape.in}, at::kBFloat16);
      const double work = 2.0 * static_cast<double>(rows * shape.out * shape.in);
      // Enough of them for a clock: 2 ms and more.
      const auto repeats = std::max<int64_t>(1, static_cast<int64_t>(2e6 / (static_cast<double>(bytes) / 27 + work / 400)));
      size_t next = 0;
      const auto time = [&](bool is_ours) {
        const double start = now_ms();
        for (int64_t i = 0; i < repeats; ++i, ++next) {
          const size_t which = next % static_cast<size_t>(copies);
          if (is_ours) {
            (has_two ? other : packed)[which].product(x, bias);
          } else if (has_two) {
            packed[which].product(x, bias);
          } else {
            facellm::linear_product(x, weights[which], bias);
          }
        }
        return (now_ms() - start) / static_cast<double>(repeats);
      };
      time(true);
      time(false);
      std::vector<double> ours, theirs, ratios, roofs;
      for (int pair = 0; pair < pairs; ++pair) {
        if (pair % 2 == 1) theirs.push_back(time(false));
        ours.push_back(time(true));
        if (pair % 2 == 0) theirs.push_back(time(false));
        ratios.push_back(theirs.back() / ours.back());
        if (pair % 5 == 0) roofs.push_back(read_roof(memory));
      }
      std::sort(ratios.begin(), ratios.end());
      const double ms = median(ours);
      std::printf("  M %5ld  ours %9.3f ms %6.1f GB/s %6.0f GF/s  beside %9.3f ms  ratio %5.2f [%.2f, %.2f]  roof %.1f\n",
                  rows, ms, own_bytes / ms * 1e-6, work / ms * 1e-6, median(theirs),
                  ratios[ratios.size() / 2], ratios[ratios.size() / 4], ratios[ratios.size() * 3 / 4],
                  *std::max_element(roofs.begin(), roofs.end()));
      std::fflush(stdout);
    }
  }
}

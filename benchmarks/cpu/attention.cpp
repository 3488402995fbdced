// Attention of a tower's heads, or of a prompt's, beside libtorch's, in bf16 and widened to fp32, A B B A in one process: what
// takes_cpu_attention() stands on. facellm_cpu_attention [THREADS [PAIRS [LENGTH,LENGTH,... [HEADS [DIM [KV_HEADS]]]]]], a length as QUERIES or,
// of a prompt's last ones, QUERIES/KEYS, which are causal: a table on standard output.
// FACELLM_CPU_ISA caps the level, libtorch's own is capped by the variables of docs/performance.md, which has results.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <sstream>
#include <string>
#include <vector>

#include "kernels/cpu/cpu_attention.h"
#include "kernels/cpu/isa.h"
#include "layers/attention.h"

namespace {

double now_ms() {
  using namespace std::chrono;
  return duration<double, std::milli>(steady_clock::now().time_since_epoch()).count();
}

double quantile(std::vector<double> values, size_t quarters) {
  std::sort(values.begin(), values.end());
  return values[values.size() * quarters / 4];
}

// As layers/attention.cpp asks for it.
at::Tensor by_libtorch(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, bool is_wide, bool is_causal) {
  const auto as = [&](const at::Tensor& x) { return is_wide ? x.to(at::kFloat) : x; };
  const bool is_chunk = is_causal && q.size(2) != k.size(2);
  const auto mask = is_chunk ? c10::make_optional(facellm::causal_mask(q.size(2), k.size(2), at::kCPU)) : c10::nullopt;
  const auto out = at::scaled_dot_product_attention(as(q), as(k), as(v), mask, 0.0, is_causal && !is_chunk, c10::nullopt,
                                                    q.size(1) != k.size(1));
  return out.transpose(1, 2).reshape({q.size(0), q.size(2), q.size(1) * q.size(3)}).to(q.scalar_type());
}

void compare(const char* name, int pairs, const std::function<void()>& ours, const std::function<void()>& theirs, double work) {
  const auto time = [](const std::function<void()>& run, int repeats) {
    const double start = now_ms();
    for (int i = 0; i < repeats; ++i) run();
    return (now_ms() - start) / repeats;
  };
  time(theirs, 1);
  // Enough of them for a clock: 5 ms and more.
  time(ours, 1);
  const int repeats = std::max(1, static_cast<int>(5 / time(ours, 1)));
  std::vector<double> own, other, ratios;
  for (int pair = 0; pair < pairs; ++pair) {
    if (pair % 2 == 1) other.push_back(time(theirs, repeats));
    own.push_back(time(ours, repeats));
    if (pair % 2 == 0) other.push_back(time(theirs, repeats));
    ratios.push_back(other.back() / own.back());
  }
  std::printf("  ours %9.3f ms %5.0f GF/s  libtorch %s %9.3f ms  ratio %5.2f [%.2f, %.2f]\n", quantile(own, 2),
              work / quantile(own, 2) * 1e-6, name, quantile(other, 2), quantile(ratios, 2), quantile(ratios, 1), quantile(ratios, 3));
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  const c10::InferenceMode inference;
  at::set_num_threads(argc > 1 ? std::atoi(argv[1]) : 2);
  const int pairs = argc > 2 ? std::atoi(argv[2]) : 15;
  std::stringstream lengths(argc > 3 ? argv[3] : "64,257,1025,2050");
  const int64_t heads = argc > 4 ? std::atoll(argv[4]) : 16, dim = argc > 5 ? std::atoll(argv[5]) : 64;
  const int64_t kv_heads = argc > 6 ? std::atoll(argv[6]) : heads;
  if (facellm::attention_kernels() == nullptr) {
    std::puts("no attention kernels at this level");
    return 1;
  }
  std::printf("level %s, %d threads, %d pairs, %ld heads of %ld; median ms; ratio: libtorch's time over ours,\n"
              "median of pairs and their quartiles\n",
              facellm::attention_kernels()->name, at::get_num_threads(), pairs, heads, dim);
  for (std::string text; std::getline(lengths, text, ',');) {
    const size_t slash = text.find('/');
    const bool is_causal = slash != std::string::npos;
    const int64_t length = std::atoll(text.c_str()), keys = is_causal ? std::atoll(text.c_str() + slash + 1) : length;
    const auto all = at::randn({1, keys, heads + 2 * kv_heads, dim}).to(at::kBFloat16).transpose(1, 2);
    const auto q = all.narrow(1, 0, heads).narrow(2, keys - length, length);
    const auto k = all.narrow(1, heads, kv_heads), v = all.narrow(1, heads + kv_heads, kv_heads);
    const double seen = is_causal ? static_cast<double>(keys) - static_cast<double>(length) / 2 : static_cast<double>(keys);
    const double work = 4.0 * static_cast<double>(heads * length * dim) * seen;
    std::printf("%s tokens%s\n", text.c_str(), facellm::takes_cpu_attention(q, k, v, is_causal) ? "" : ", not taken");
    for (const bool is_wide : {false, true}) {
      compare(is_wide ? "fp32" : "bf16", pairs, [&] { facellm::cpu_attention(q, k, v, is_causal); },
              [&] { by_libtorch(q, k, v, is_wide, is_causal); }, work);
    }
  }
}

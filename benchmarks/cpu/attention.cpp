// Attention of a tower's heads beside libtorch's, in bf16 and widened to fp32, A B B A in one process: what takes_full_attention()
// stands on. facellm_cpu_attention [THREADS [PAIRS [LENGTH,LENGTH,... [HEADS [DIM]]]]]: a table on standard output.
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

#include "kernels/cpu/full_attention.h"
#include "kernels/cpu/isa.h"

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
at::Tensor by_libtorch(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, bool is_wide) {
  const auto as = [&](const at::Tensor& x) { return is_wide ? x.to(at::kFloat) : x; };
  const auto out = at::scaled_dot_product_attention(as(q), as(k), as(v), {}, 0.0, false);
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
  if (facellm::attention_kernels() == nullptr) {
    std::puts("no attention kernels at this level");
    return 1;
  }
  std::printf("level %s, %d threads, %d pairs, %ld heads of %ld; median ms; ratio: libtorch's time over ours,\n"
              "median of pairs and their quartiles\n",
              facellm::attention_kernels()->name, at::get_num_threads(), pairs, heads, dim);
  for (std::string text; std::getline(lengths, text, ',');) {
    const int64_t length = std::atoll(text.c_str());
    const auto qkv = at::randn({1, length, 3, heads, dim}).to(at::kBFloat16);
    const auto q = qkv.select(2, 0).transpose(1, 2), k = qkv.select(2, 1).transpose(1, 2), v = qkv.select(2, 2).transpose(1, 2);
    const double work = 4.0 * static_cast<double>(heads * length * length * dim);
    std::printf("%ld tokens%s\n", length, facellm::takes_full_attention(q, k, v) ? "" : ", not taken");
    for (const bool is_wide : {false, true}) {
      compare(is_wide ? "fp32" : "bf16", pairs, [&] { facellm::full_attention(q, k, v); }, [&] { by_libtorch(q, k, v, is_wide); }, work);
    }
  }
}

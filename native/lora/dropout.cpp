#include "lora/dropout.h"

#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>

#include "core/mixed_seed.h"

namespace facellm {
namespace {

// Elements at once: what bounds the memory of their 64-bit states.
constexpr int64_t kAtOnce = int64_t{1} << 22;

// Of 2^24 equally likely values the lowest (1 - probability) stay: draws from this one on fall.
int64_t first_dropped(double probability) {
  const auto kept = std::clamp<int64_t>(std::llround((1 - probability) * 0x1p24), 0, (int64_t{1} << 24) - 1);
  return (kept - (int64_t{1} << 23)) * (int64_t{1} << 40);
}

// z = (z ^ (z >> shift)) * factor of unsigned numbers; int64 is what tensors have.
void mix(at::Tensor& z, int64_t shift, uint64_t factor) {
  const int64_t mask = (int64_t{1} << (64 - shift)) - 1;
  z.bitwise_xor_(z.bitwise_right_shift(shift).bitwise_and_(mask)).mul_(static_cast<int64_t>(factor));
}

at::Tensor scaled(const at::Tensor& x, double probability, uint64_t key) {
  const auto mask = dropped(x.numel(), probability, key, x.device()).view(x.sizes());
  return x.mul(1 / (1 - probability)).masked_fill_(mask, 0);
}

// Keeps no tensor: the mask is computed again for the gradient.
struct DropoutFunction : torch::autograd::Function<DropoutFunction> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x, double probability,
                            int64_t key) {
    context->saved_data["probability"] = probability;
    context->saved_data["key"] = key;
    return scaled(x, probability, static_cast<uint64_t>(key));
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list grads) {
    return {scaled(grads[0], context->saved_data["probability"].toDouble(),
                   static_cast<uint64_t>(context->saved_data["key"].toInt())),
            at::Tensor(), at::Tensor()};
  }
};

}  // namespace

at::Tensor dropped(int64_t count, double probability, uint64_t key, at::Device device) {
  if (!device.is_cpu()) return dropped_composed(count, probability, key, device);
  const int64_t bound = first_dropped(probability);
  const auto result = at::empty({count}, at::kBool);
  auto* values = result.mutable_data_ptr<bool>();
  at::parallel_for(0, count, 1 << 15, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      values[i] = static_cast<int64_t>(mixed_seed(key, static_cast<uint64_t>(i))) >= bound;
    }
  });
  return result;
}

at::Tensor dropped_composed(int64_t count, double probability, uint64_t key, at::Device device) {
  const int64_t bound = first_dropped(probability);
  const auto result = at::empty({count}, at::TensorOptions(at::kBool).device(device));
  constexpr uint64_t kStep = 0x9e3779b97f4a7c15ULL;
  for (int64_t begin = 0; begin < count; begin += kAtOnce) {
    const int64_t end = std::min(count, begin + kAtOnce);
    auto z = at::arange(begin, end, at::TensorOptions(at::kLong).device(device));
    z.mul_(static_cast<int64_t>(kStep)).add_(static_cast<int64_t>(key + kStep));
    mix(z, 30, 0xbf58476d1ce4e5b9ULL);
    mix(z, 27, 0x94d049bb133111ebULL);
    // splitmix64's last step changes the lower 33 bits only.
    auto own = result.narrow(0, begin, end - begin);
    at::ge_out(own, z, bound);
  }
  return result;
}

at::Tensor drop(const at::Tensor& x, double probability, uint64_t key) {
  return DropoutFunction::apply(x, probability, static_cast<int64_t>(key));
}

}  // namespace facellm

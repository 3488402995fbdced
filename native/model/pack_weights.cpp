#include "model/pack_weights.h"

#include <vector>

#include "kernels/cpu/isa.h"
#include "model/product_kernels.h"

namespace facellm {
namespace {

std::vector<Linear*> packable(InternVl& model) {
  std::vector<Linear*> linears;
  for (const auto& site : model.linears()) linears.push_back(site.linear);
  linears.push_back(&model.head());
  if (!PackedMatrix::suits(cpu_kernels(), 1)) linears.clear();
  std::erase_if(linears, [](const Linear* linear) { return !PackedMatrix::takes(linear->weight); });
  return linears;
}

}  // namespace

ProductKernels product_kernels() {
  const auto& kernels = cpu_kernels();
  return {kernels.name, kernels.most_rows == kAnyRows ? -1 : kernels.most_rows};
}

int64_t packed_bytes(InternVl& model) {
  size_t bytes = 0;
  for (const auto* linear : packable(model)) bytes += PackedMatrix::bytes(linear->weight);
  return static_cast<int64_t>(bytes);
}

void pack_weights(InternVl& model, const WeightFiles& files, const std::function<void(int64_t done)>& progress,
                  const Cancellation& cancellation) {
  const auto& kernels = cpu_kernels();
  const auto memory = std::make_shared<PackedMemory>(static_cast<size_t>(packed_bytes(model)));
  const bool is_original_needed = !PackedMatrix::suits_all_rows(kernels);
  int64_t done = 0;
  for (auto* linear : packable(model)) {
    cancellation.check();
    linear->packed = std::make_shared<const PackedMatrix>(linear->weight, memory, kernels);
    done += static_cast<int64_t>(PackedMatrix::bytes(linear->weight));
    progress(done);
    if (is_original_needed) continue;
    if (files.hold(linear->weight)) {
      files.let_go(linear->weight);
    } else {
      linear->weight = at::empty(linear->weight.sizes(), linear->weight.options().device(at::kMeta));
    }
  }
}

}  // namespace facellm

#include "lora/adapter.h"

#include <ATen/CPUGeneratorImpl.h>
#include <c10/core/GradMode.h>

#include <cmath>
#include <map>
#include <set>
#include <tuple>

#include "checkpoint/problem_list.h"
#include "core/error.h"
#include "model/name_map.h"

namespace facellm {
namespace {

[[noreturn]] void fail(const std::string& what, std::vector<std::string> details) {
  const auto count = details.size();
  throw Error(ErrorCode::kAdapterInvalid, what + " (" + std::to_string(count) + " problem(s))",
              std::move(details));
}

// The layer and rows of every module of the spec, in model order.
std::vector<Adapter::Member> place(InternVl& model, const AdapterSpec& spec) {
  std::map<std::string, const AdapterModule*> wanted;
  std::vector<std::string> problems;
  for (const auto& module : spec.modules) {
    if (!wanted.emplace(module.name, &module).second) problems.push_back(module.name + ": named twice");
    if (module.rank < 1) problems.push_back(module.name + ": expected a rank of at least 1");
  }
  std::vector<Adapter::Member> members;
  for (const auto& site : model.linears()) {
    for (const auto& [name, begin, count] : site.slices) {
      const auto found = wanted.find(name);
      if (found == wanted.end()) continue;
      Adapter::Member member{name, {begin, count, {}, {}, {}, found->second->scaling}, site.linear};
      const int64_t rank = found->second->rank, in = site.linear->weight.size(1);
      member.slice.a = at::empty({rank, in}, at::kFloat);
      member.slice.b = at::empty({count, rank}, at::kFloat);
      if (spec.uses_dora) member.slice.magnitude = at::empty({count}, at::kFloat);
      members.push_back(std::move(member));
      wanted.erase(found);
    }
  }
  for (const auto& [name, module] : wanted) problems.push_back(name + ": the model has no such module");
  if (members.empty() && problems.empty()) problems.push_back("no module at all");
  if (!problems.empty()) fail("the adapter does not fit the model", std::move(problems));
  return members;
}

// The names that other versions give to "base_model.model.model.language_model.layers.0...".
std::vector<std::string> key_forms(const std::string& module) {
  const std::string root = "base_model.model.";
  return {root + in_memory_name(module) + ".", root + module + "."};
}

struct Part {
  at::Tensor* target;
  std::vector<std::string> suffixes;
};

std::vector<Part> parts_of(LoraSlice& slice) {
  std::vector<Part> parts{{&slice.a, {"lora_A.weight"}}, {&slice.b, {"lora_B.weight"}}};
  if (slice.magnitude.defined()) {
    parts.push_back({&slice.magnitude, {"lora_magnitude_vector", "lora_magnitude_vector.weight"}});
  }
  return parts;
}

}  // namespace

std::shared_ptr<Adapter> Adapter::create(InternVl& model, const AdapterSpec& spec, uint64_t seed) {
  const c10::NoGradGuard no_grad;
  auto adapter = std::make_shared<Adapter>();
  adapter->members_ = place(model, spec);
  auto generator = at::detail::createCPUGenerator(seed);
  const auto device = model.options().device();
  for (auto& [module, slice, linear] : adapter->members_) {
    const double bound = 1.0 / std::sqrt(static_cast<double>(slice.a.size(1)));
    slice.a.uniform_(-bound, bound, generator);
    slice.b.zero_();
    slice.a = slice.a.to(device);
    slice.b = slice.b.to(device);
    if (spec.uses_dora) {
      const auto weight = linear->weight_rows(slice.begin, slice.count).to(at::kFloat);
      slice.magnitude = at::linalg_vector_norm(weight, 2, {1});
    }
  }
  return adapter;
}

std::shared_ptr<Adapter> Adapter::load(InternVl& model, const AdapterSpec& spec,
                                       const Checkpoint& checkpoint, at::ScalarType dtype) {
  const c10::NoGradGuard no_grad;
  auto adapter = std::make_shared<Adapter>();
  adapter->members_ = place(model, spec);
  const auto& entries = checkpoint.entries();
  const auto model_device = model.options().device();
  const auto device = model_device.is_meta() ? at::Device(at::kCPU) : model_device;
  std::set<std::string> consumed;
  std::vector<std::string> problems, loaded;
  std::vector<at::Tensor> are_finite;  // of each of `loaded`, on the device: asked for all at once
  for (auto& [module, slice, linear] : adapter->members_) {
    for (const auto& [target, suffixes] : parts_of(slice)) {
      std::string found;
      for (const auto& form : key_forms(module)) {
        for (const auto& suffix : suffixes) {
          if (found.empty() && entries.contains(form + suffix)) found = form + suffix;
        }
      }
      if (found.empty()) {
        problems.push_back("missing tensor " + key_forms(module)[0] + suffixes[0]);
        continue;
      }
      consumed.insert(found);
      const auto& shape = entries.find(found)->second.shape;
      if (at::IntArrayRef(shape) != target->sizes()) {
        problems.push_back(found + " has shape " + shape_text(shape) + ", expected " +
                           shape_text(target->sizes()));
        continue;
      }
      // A copy: the file may change while the adapter lives.
      const auto kept = target == &slice.magnitude ? at::kFloat : dtype;
      *target = checkpoint.view(found).to(device, kept, false, /*copy=*/true);
      loaded.push_back(found);
      are_finite.push_back(at::isfinite(*target).all());
    }
  }
  if (!loaded.empty()) {
    const auto flags = at::stack(are_finite).cpu();
    for (size_t i = 0; i < loaded.size(); ++i) {
      if (!flags.const_data_ptr<bool>()[i]) problems.push_back(loaded[i] + " holds NaN or infinite values");
    }
  }
  for (const auto& [name, entry] : entries) {
    if (!consumed.contains(name)) {
      problems.push_back(name + " is unexpected: the adapter's config targets no such module");
    }
  }
  if (!problems.empty()) fail("the adapter's tensors do not fit its config or the model", std::move(problems));
  return adapter;
}

ParameterList Adapter::parameters() const {
  ParameterList list;
  for (const auto& [module, slice, linear] : members_) {
    const auto prefix = key_forms(module)[0];
    list.emplace_back(prefix + "lora_A.weight", slice.a);
    list.emplace_back(prefix + "lora_B.weight", slice.b);
    if (slice.magnitude.defined()) list.emplace_back(prefix + "lora_magnitude_vector", slice.magnitude);
  }
  return list;
}

bool Adapter::touches_vision() const {
  for (const auto& member : members_) {
    if (!member.module.starts_with("language_model.")) return true;
  }
  return false;
}

int64_t Adapter::bytes() const {
  int64_t total = 0;
  for (const auto& [name, tensor] : parameters()) total += static_cast<int64_t>(tensor.nbytes());
  return total;
}

void Adapter::prepare_for_inference() {
  const c10::NoGradGuard no_grad;
  for (auto& [module, slice, linear] : members_) {
    if (!slice.magnitude.defined()) continue;
    slice.norms = row_norms(linear->weight_rows(slice.begin, slice.count), slice);
  }
}

SlicesByLinear stacked_slices(const std::vector<std::shared_ptr<const Adapter>>& adapters) {
  SlicesByLinear slices;
  std::map<std::pair<const Linear*, int64_t>, bool> has_dora;
  for (const auto& adapter : adapters) {
    for (const auto& member : adapter->members()) {
      const auto [entry, is_first] =
          has_dora.emplace(std::pair(member.linear, member.slice.begin), member.slice.magnitude.defined());
      if (!is_first && (entry->second || member.slice.magnitude.defined())) {
        throw Error(ErrorCode::kAdapterInvalid,
                    member.module + ": a DoRA adapter cannot be stacked on another; merge one of them");
      }
      slices[member.linear].push_back(member.slice);
    }
  }
  return slices;
}

void activate(InternVl& model, const std::vector<std::shared_ptr<const Adapter>>& adapters,
              const std::shared_ptr<const LoraDropout>& dropout) {
  const auto slices = stacked_slices(adapters);
  // All are made before any is put in place: running out of memory leaves the model as it was.
  std::vector<std::shared_ptr<const LinearExtension>> extensions;
  const auto sites = model.linears();
  for (uint64_t place = 0; place < sites.size(); ++place) {
    auto* linear = sites[place].linear;
    const auto found = slices.find(linear);
    extensions.push_back(found == slices.end()
                             ? nullptr
                             : std::make_shared<const LoraExtension>(found->second, dropout, place));
  }
  for (size_t i = 0; i < sites.size(); ++i) sites[i].linear->extension = std::move(extensions[i]);
}

}  // namespace facellm

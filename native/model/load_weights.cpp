#include "model/load_weights.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "checkpoint/problem_list.h"
#include "core/error.h"
#include "model/copy_weights.h"
#include "model/load_quantised.h"
#include "model/name_map.h"

namespace facellm {
namespace {

constexpr std::string_view kWeight = ".weight";

// `name`: of a tensor, or of a module that is stored as several.
std::string place(const Checkpoint& checkpoint, const std::string& name) {
  const auto entry = checkpoint.entries().lower_bound(name);
  return checkpoint.file_name(entry->second.file) + ": " + name;
}

QuantisedRows quantised_rows(const Assignment& assignment, int64_t count) {
  return {*assignment.quantised, assignment.source.part * count, count};
}

// Where the rows of `sites` lie; those of weights that are stored quantised go to `quantised`.
std::vector<PackedRows> packed_rows(const PackedSiteList& sites, const std::vector<Assignment>& assignments,
                                    const Checkpoint& checkpoint, std::vector<QuantisedTarget>& quantised) {
  std::map<std::string_view, const Assignment*> sources;
  for (const auto& assignment : assignments) sources.emplace(assignment.name, &assignment);
  std::vector<PackedRows> rows;
  for (const auto& [linear, slices, scheme] : sites) {
    const int64_t inner = linear->packed->inner();
    const auto assigned = [&](const std::string& name) -> const Assignment& { return *sources.at(name + ".weight"); };
    const auto is_quantised = [&](const auto& slice) { return assigned(slice.name).quantised.has_value(); };
    if (std::any_of(slices.begin(), slices.end(), is_quantised)) {
      if (!std::all_of(slices.begin(), slices.end(), is_quantised)) {
        throw Error(ErrorCode::kCheckpointInvalid,
                    slices[0].name + " and " + slices.back().name +
                        " are one matrix here, and only a part of it is quantised in the files; quantise all of it, or none");
      }
      QuantisedTarget target{{}, linear->packed.get(), scheme};
      for (const auto& [name, begin, count] : slices) target.slices.push_back(quantised_rows(assigned(name), count));
      quantised.push_back(std::move(target));
      continue;
    }
    for (const auto& [name, begin, count] : slices) {
      const auto& source = assigned(name).source;
      const auto& entry = checkpoint.entries().find(source.name)->second;
      const auto first = static_cast<uint64_t>(source.part * count * inner) * c10::elementSize(entry.dtype);
      rows.push_back({linear->packed.get(), begin, count, source.name, entry.dtype, entry.file, entry.begin + first});
    }
  }
  return rows;
}

}  // namespace

std::vector<Assignment> assign_weights(const ParameterList& parameters, const Checkpoint& checkpoint,
                                       const Quantisation& form) {
  std::vector<std::string> details;
  const auto& entries = checkpoint.entries();
  std::vector<Assignment> assignments;
  std::set<std::string> consumed;
  for (const auto& [name, target] : parameters) {
    std::vector<TensorSource> found;
    std::optional<QuantisedTensors> quantised;
    for (auto& source : tensor_sources(name)) {
      auto own = name.ends_with(kWeight)
                     ? find_quantised(checkpoint, form, source.name.substr(0, source.name.size() - kWeight.size()), details)
                     : std::nullopt;
      if (!own && !entries.contains(source.name)) continue;
      if (own) consumed.insert(own->names.begin(), own->names.end());
      consumed.insert(source.name);
      if (found.empty()) quantised = std::move(own);
      found.push_back(std::move(source));
    }
    if (found.empty()) {
      details.push_back("missing tensor " + name + ", expected shape " + shape_text(target.sizes()));
      continue;
    }
    if (found.size() > 1) {
      details.push_back(place(checkpoint, found[0].name) + " is stored a second time as " +
                        found[1].name);
      continue;
    }
    std::vector<int64_t> expected = target.sizes().vec();
    expected[0] *= found[0].parts;
    if (quantised) {
      const std::vector<int64_t> shape{quantised->rows, quantised->inner};
      if (shape != expected) {
        // One that says no shape has been told of.
        if (quantised->rows > 0 || details.empty()) {
          details.push_back(place(checkpoint, quantised->names[0]) + " is a weight of shape " + shape_text(shape) + ", expected " +
                            shape_text(expected));
        }
        continue;
      }
    } else {
      const auto& entry = entries.find(found[0].name)->second;
      if (!c10::isFloatingType(entry.dtype) || c10::isFloat8Type(entry.dtype)) {
        details.push_back(place(checkpoint, found[0].name) + " has dtype " + c10::toString(entry.dtype) +
                          ", which config.json's quantization_config does not explain");
        continue;
      }
      if (entry.shape != expected) {
        details.push_back(place(checkpoint, found[0].name) + " has shape " +
                          shape_text(entry.shape) + ", expected " + shape_text(expected));
        continue;
      }
    }
    assignments.push_back({name, target, found[0], std::move(quantised)});
  }
  for (const auto& [name, entry] : entries) {
    if (!consumed.contains(name) && !is_ignored_tensor(name)) {
      details.push_back(place(checkpoint, name) + " is unexpected: no such parameter in this model");
    }
  }
  if (!details.empty()) {
    // Counted first: arguments are evaluated in any order.
    const auto count = std::to_string(details.size());
    throw Error(ErrorCode::kCheckpointInvalid,
                "the checkpoint's tensors do not fit its config.json (" + count +
                    " problem(s)); use the weights and the config of the same model",
                std::move(details));
  }
  return assignments;
}

bool has_lm_head(const InternVlConfig& config, const Checkpoint& checkpoint) {
  if (!config.ties_embeddings) return true;
  for (const auto& source : tensor_sources("language_model.lm_head.weight")) {
    if (checkpoint.entries().contains(source.name)) return true;
  }
  return false;
}

WeightFiles load_weights(const InternVl& model, const Checkpoint& checkpoint,
                         const std::function<void(int64_t done, int64_t total)>& progress,
                         const Cancellation& cancellation, const WeightSources& sources) {
  std::vector<std::string> details;
  std::vector<WeightCopy> copies;
  const auto& form = model.config().quantisation;
  const auto assignments = assign_weights(model.parameters(), checkpoint, form);
  std::vector<QuantisedTarget> quantised;
  for (const auto& assignment : assignments) {
    const auto& [name, parameter, source, tensors] = assignment;
    if (!sources.placement && parameter.is_meta()) continue;
    const auto piece = sources.placement ? sources.placement(parameter) : WeightPiece{0, parameter};
    if (piece.target.numel() == 0) continue;
    if (tensors) {
      quantised.push_back({{quantised_rows(assignment, parameter.size(0))}, nullptr, {}, piece.target, piece.begin});
      continue;
    }
    const auto& entry = checkpoint.entries().find(source.name)->second;
    const int64_t first = source.part * parameter.numel() + piece.begin;  // in elements
    copies.push_back({piece.target, source.name, entry.dtype, entry.file,
                      entry.begin + static_cast<uint64_t>(first) * c10::elementSize(entry.dtype)});
  }
  // In file order, so that a disk reads forward.
  std::sort(copies.begin(), copies.end(), [](const auto& x, const auto& y) {
    return std::tie(x.file, x.begin) < std::tie(y.file, y.begin);
  });
  auto packed = packed_rows(sources.packed, assignments, checkpoint, quantised);
  int64_t to_pack = 0, to_unpack = 0;
  for (const auto& rows : packed) to_pack += rows.bytes();
  for (const auto& target : quantised) {
    for (const auto& slice : target.slices) to_unpack += slice.count * slice.tensors.inner;
  }
  auto files = sources.uses_mmap ? map_weights(checkpoint, copies) : WeightFiles();
  int64_t copied = 0;
  auto bad = copy_weights(
      checkpoint, copies, [&](int64_t done, int64_t total) { progress(done, (copied = total) + to_pack + to_unpack); },
      cancellation);
  const auto worse = pack_weights(
      checkpoint, std::move(packed), [&](int64_t done) { progress(copied + done, copied + to_pack + to_unpack); },
      cancellation);
  const auto worst = load_quantised(
      checkpoint, form, quantised,
      [&](int64_t done) { progress(copied + to_pack + done, copied + to_pack + to_unpack); }, cancellation);
  bad.insert(bad.end(), worse.begin(), worse.end());
  bad.insert(bad.end(), worst.begin(), worst.end());
  for (const auto& name : std::set(bad.begin(), bad.end())) {
    details.push_back(place(checkpoint, name) + " holds NaN or infinite values");
  }
  files.require_unchanged();
  if (!details.empty()) {
    const auto count = std::to_string(details.size());
    throw Error(ErrorCode::kNonFinite,
                "the checkpoint holds values that are not numbers (" + count +
                    " tensor(s)); fetch or export it again",
                std::move(details));
  }
  return files;
}

}  // namespace facellm

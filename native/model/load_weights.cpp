#include "model/load_weights.h"

#include <algorithm>
#include <set>
#include <sstream>
#include <tuple>

#include "core/error.h"
#include "model/copy_weights.h"
#include "model/name_map.h"

namespace facellm {
namespace {

struct Assignment {
  at::Tensor parameter;
  TensorSource source;
  WeightPiece piece{};  // what is kept of the parameter
};

std::string shape_text(at::IntArrayRef shape) {
  std::ostringstream text;
  text << "[";
  for (size_t i = 0; i < shape.size(); ++i) text << (i ? ", " : "") << shape[i];
  text << "]";
  return text.str();
}

std::string place(const Checkpoint& checkpoint, const std::string& name) {
  const auto& entry = checkpoint.entries().find(name)->second;
  return checkpoint.file_name(entry.file) + ": " + name;
}

// Pairs every parameter with its one source; problems are appended to `details`.
std::vector<Assignment> assign(const ParameterList& parameters, const Checkpoint& checkpoint,
                               std::vector<std::string>& details) {
  const auto& entries = checkpoint.entries();
  std::vector<Assignment> assignments;
  std::set<std::string> consumed;
  for (const auto& [name, target] : parameters) {
    std::vector<TensorSource> found;
    for (auto& source : tensor_sources(name)) {
      if (entries.contains(source.name)) found.push_back(std::move(source));
    }
    for (const auto& source : found) consumed.insert(source.name);
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
    const auto& entry = entries.find(found[0].name)->second;
    if (entry.shape != expected) {
      details.push_back(place(checkpoint, found[0].name) + " has shape " +
                        shape_text(entry.shape) + ", expected " + shape_text(expected));
      continue;
    }
    assignments.push_back({target, found[0], {0, target.is_meta() ? target : target.view({-1})}});
  }
  for (const auto& [name, entry] : entries) {
    if (!consumed.contains(name) && !is_ignored_tensor(name)) {
      details.push_back(place(checkpoint, name) + " is unexpected: no such parameter in this model");
    }
  }
  return assignments;
}

// What a piece takes of its tensor in the file, in bytes.
struct ByteRange {
  uint64_t begin, size;
};

ByteRange byte_range(const Assignment& assignment, at::ScalarType stored) {
  const auto element = static_cast<int64_t>(c10::elementSize(stored));
  const int64_t first = assignment.source.part * assignment.parameter.numel() + assignment.piece.begin;
  return {static_cast<uint64_t>(first * element),
          static_cast<uint64_t>(assignment.piece.target.numel() * element)};
}

}  // namespace

bool has_lm_head(const Checkpoint& checkpoint) {
  for (const auto& source : tensor_sources("language_model.lm_head.weight")) {
    if (checkpoint.entries().contains(source.name)) return true;
  }
  return false;
}

void load_weights(const InternVl& model, const Checkpoint& checkpoint,
                  const std::function<void(int64_t done, int64_t total)>& progress,
                  const Cancellation& cancellation, const WeightPlacement& placement) {
  std::vector<std::string> details;
  auto assignments = assign(model.parameters(), checkpoint, details);
  if (!details.empty()) {
    throw Error(ErrorCode::kCheckpointInvalid,
                "the checkpoint's tensors do not fit its config.json (" +
                    std::to_string(details.size()) +
                    " problem(s)); use the weights and the config of the same model",
                std::move(details));
  }
  // In file order, so that a disk reads forward.
  const auto& entries = checkpoint.entries();
  const auto entry_of = [&](const Assignment& a) -> const Checkpoint::Entry& {
    return entries.find(a.source.name)->second;
  };
  std::sort(assignments.begin(), assignments.end(), [&](const auto& a, const auto& b) {
    const auto& x = entry_of(a);
    const auto& y = entry_of(b);
    return std::tie(x.file, x.begin, a.source.part) < std::tie(y.file, y.begin, b.source.part);
  });
  int64_t total = 0, done = 0;
  for (auto& assignment : assignments) {
    if (placement) assignment.piece = placement(assignment.parameter);
    total += static_cast<int64_t>(byte_range(assignment, entry_of(assignment).dtype).size);
  }
  for (const auto& assignment : assignments) {
    cancellation.check();
    const auto& [parameter, source, piece] = assignment;
    if (piece.target.numel() == 0) continue;
    const auto values = checkpoint.view(source.name)
                            .view({-1})
                            .narrow(0, source.part * parameter.numel() + piece.begin, piece.target.numel());
    const auto [begin, size] = byte_range(assignment, values.scalar_type());
    if (!copy_weights(values, piece.target, [&, first = begin](int64_t done_bytes, int64_t next_bytes) {
          checkpoint.release(source.name, first, first + static_cast<uint64_t>(done_bytes));
          checkpoint.prefetch(source.name, first + static_cast<uint64_t>(done_bytes),
                              first + static_cast<uint64_t>(next_bytes));
        })) {
      details.push_back(place(checkpoint, source.name) + " holds NaN or infinite values");
    }
    checkpoint.release(source.name, begin, begin + size);
    done += static_cast<int64_t>(size);
    progress(done, total);
  }
  if (!details.empty()) {
    throw Error(ErrorCode::kNonFinite,
                "the checkpoint holds values that are not numbers (" +
                    std::to_string(details.size()) + " tensor(s)); fetch or export it again",
                std::move(details));
  }
}

}  // namespace facellm

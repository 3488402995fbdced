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

// Where a block of rows lies in its tensor, in bytes.
std::pair<uint64_t, uint64_t> byte_range(const at::Tensor& rows, const TensorSource& source) {
  const auto size = static_cast<uint64_t>(rows.nbytes());
  return {static_cast<uint64_t>(source.part) * size, static_cast<uint64_t>(source.part + 1) * size};
}

}  // namespace

std::vector<Assignment> assign_weights(const ParameterList& parameters, const Checkpoint& checkpoint) {
  std::vector<std::string> details;
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
    assignments.push_back({name, target, found[0]});
  }
  for (const auto& [name, entry] : entries) {
    if (!consumed.contains(name) && !is_ignored_tensor(name)) {
      details.push_back(place(checkpoint, name) + " is unexpected: no such parameter in this model");
    }
  }
  if (!details.empty()) {
    throw Error(ErrorCode::kCheckpointInvalid,
                "the checkpoint's tensors do not fit its config.json (" +
                    std::to_string(details.size()) +
                    " problem(s)); use the weights and the config of the same model",
                std::move(details));
  }
  return assignments;
}

bool has_lm_head(const Checkpoint& checkpoint) {
  for (const auto& source : tensor_sources("language_model.lm_head.weight")) {
    if (checkpoint.entries().contains(source.name)) return true;
  }
  return false;
}

void load_weights(const InternVl& model, const Checkpoint& checkpoint,
                  const std::function<void(int64_t done, int64_t total)>& progress,
                  const Cancellation& cancellation) {
  std::vector<std::string> details;
  auto assignments = assign_weights(model.parameters(), checkpoint);
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
  for (const auto& assignment : assignments) {
    const auto& entry = entry_of(assignment);
    total += static_cast<int64_t>(entry.end - entry.begin) / assignment.source.parts;
  }
  for (const auto& assignment : assignments) {
    cancellation.check();
    const auto& source = assignment.source;
    auto view = checkpoint.view(source.name);
    if (source.parts > 1) {
      const int64_t rows = view.size(0) / source.parts;
      view = view.narrow(0, source.part * rows, rows);
    }
    const auto [begin, end] = byte_range(view, source);
    if (!copy_weights(view, assignment.target, [&](int64_t done_bytes, int64_t next_bytes) {
          checkpoint.release(source.name, begin, begin + static_cast<uint64_t>(done_bytes));
          checkpoint.prefetch(source.name, begin + static_cast<uint64_t>(done_bytes),
                              begin + static_cast<uint64_t>(next_bytes));
        })) {
      details.push_back(place(checkpoint, source.name) + " holds NaN or infinite values");
    }
    checkpoint.release(source.name, begin, end);
    done += static_cast<int64_t>(view.nbytes());
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

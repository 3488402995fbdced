#include "checkpoint/checkpoint.h"

#include <algorithm>
#include <filesystem>
#include <set>

#include "checkpoint/problem_list.h"
#include "core/error.h"

namespace facellm {
namespace {

[[noreturn]] void throw_problems(const std::vector<std::string>& files, bool is_only_absence,
                                 ProblemList problems) {
  const std::string folder =
      files.empty() ? "(none)" : std::filesystem::path(files[0]).parent_path().string();
  const std::string count = std::to_string(problems.count());
  if (is_only_absence) {
    throw Error(ErrorCode::kCheckpointNotFound,
                "checkpoint in " + folder + ": " + count +
                    " file(s) cannot be opened; fetch the checkpoint again or correct the path",
                problems.take());
  }
  throw Error(ErrorCode::kCheckpointInvalid,
              "checkpoint in " + folder + " is damaged or is no safetensors checkpoint (" + count +
                  " problem(s)); fetch or export it again",
              problems.take());
}

std::shared_ptr<const DataFile> try_open(const std::string& path, const std::string& name,
                                           ProblemList& problems, bool& is_only_absence) {
  try {
    return DataFile::open(path);
  } catch (const Error& error) {
    // The folder is in the message of the whole; a detail starts with the file's name like all.
    const auto& text = error.message();
    problems.add(text.starts_with(path) ? name + text.substr(path.size()) : text);
    is_only_absence = is_only_absence && error.code() == ErrorCode::kCheckpointNotFound;
    return nullptr;
  }
}

using WeightMap = std::vector<std::pair<std::string, int32_t>>;

// The shard index and the files must name the same tensors, each in the same place.
void check_weight_map(const WeightMap& weight_map,
                      const std::map<std::string, Checkpoint::Entry, std::less<>>& entries,
                      const std::vector<std::string>& names,
                      const std::vector<bool>& has_header, ProblemList& problems) {
  std::set<std::string_view> mapped;
  for (const auto& [tensor, file] : weight_map) {
    if (!mapped.insert(tensor).second) {
      problems.add("shard index: " + printable(tensor) + " appears twice");
      continue;
    }
    if (file < 0 || static_cast<size_t>(file) >= names.size()) {
      problems.add("shard index: " + printable(tensor) + " names a file that is not listed");
      continue;
    }
    if (!has_header[file]) continue;  // reported already
    const auto entry = entries.find(tensor);
    if (entry == entries.end()) {
      problems.add(names[file] + ": " + printable(tensor) +
                   " is missing, though the shard index places it there");
    } else if (entry->second.file != file) {
      problems.add(names[file] + ": " + printable(tensor) + " is missing; it lies in " +
                   names[entry->second.file] + ", not where the shard index places it");
    }
  }
  for (const auto& [tensor, entry] : entries) {
    if (mapped.contains(tensor)) continue;
    problems.add(names[entry.file] + ": " + printable(tensor) + " is not in the shard index");
  }
}

}  // namespace

Checkpoint Checkpoint::open(const std::vector<std::string>& files, const WeightMap& weight_map, StoredDtypes dtypes) {
  ProblemList problems;
  bool is_only_absence = true;
  if (files.empty()) problems.add("no data file was given");

  Checkpoint checkpoint;
  std::vector<bool> has_header;
  for (const auto& path : files) {
    const auto index = static_cast<int32_t>(checkpoint.file_names_.size());
    const std::string name = std::filesystem::path(path).filename().string();
    checkpoint.file_names_.push_back(name);
    auto data = try_open(path, name, problems, is_only_absence);
    has_header.push_back(data != nullptr);
    if (!data) {
      checkpoint.files_.push_back(nullptr);
      continue;
    }
    const size_t before = problems.count();
    auto file = read_safetensors(std::move(data), name, problems, dtypes);
    if (problems.count() > before) is_only_absence = false;
    has_header.back() = file.has_all_tensors;
    checkpoint.files_.push_back(std::move(file.data));
    for (auto& tensor : file.tensors) {
      const auto [entry, is_new] = checkpoint.entries_.try_emplace(
          tensor.name,
          Entry{tensor.dtype, std::move(tensor.shape), index, tensor.begin, tensor.end});
      if (is_new) continue;
      problems.add(name + ": " + printable(tensor.name) + " is stored a second time, first in " +
                   checkpoint.file_names_[entry->second.file]);
      is_only_absence = false;
    }
  }
  if (!weight_map.empty()) {
    const size_t before = problems.count();
    check_weight_map(weight_map, checkpoint.entries_, checkpoint.file_names_, has_header,
                     problems);
    is_only_absence = is_only_absence && problems.count() == before;
  }
  if (!problems.empty()) throw_problems(files, is_only_absence, std::move(problems));
  return checkpoint;
}

const Checkpoint::Entry& Checkpoint::find(std::string_view name) const {
  const auto entry = entries_.find(name);
  if (entry != entries_.end()) return entry->second;
  throw Error(ErrorCode::kInternal, "no tensor " + std::string(name) + " in the checkpoint");
}

const std::string& Checkpoint::file_name(int32_t file) const {
  if (file >= 0 && static_cast<size_t>(file) < file_names_.size()) return file_names_[file];
  throw Error(ErrorCode::kInternal, "no file " + std::to_string(file) + " in the checkpoint");
}

at::Tensor Checkpoint::view(std::string_view name) const {
  const Entry& entry = find(name);
  auto tensor = at::empty(entry.shape, at::TensorOptions().dtype(entry.dtype).device(at::kCPU));
  read(entry.file, entry.begin, entry.end - entry.begin, tensor.mutable_data_ptr());
  return tensor;
}

void Checkpoint::read(int32_t file, uint64_t begin, uint64_t bytes, void* target) const {
  files_.at(static_cast<size_t>(file))->read(begin, bytes, target);
}

std::shared_ptr<FileMapping> Checkpoint::map(int32_t file) const {
  return FileMapping::map(files_.at(static_cast<size_t>(file)));
}

void Checkpoint::prefetch(int32_t file, uint64_t begin, uint64_t end) const {
  files_.at(static_cast<size_t>(file))->prefetch(begin, end);
}

}  // namespace facellm

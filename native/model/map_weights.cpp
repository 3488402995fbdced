#include "model/map_weights.h"

#include <map>

namespace facellm {
namespace {

// Where in the file the storage of `copy.target` would begin.
int64_t storage_begin(const WeightCopy& copy) {
  const auto offset = copy.target.storage_offset() * static_cast<int64_t>(copy.target.element_size());
  return static_cast<int64_t>(copy.begin) - offset;
}

// True if `copies`, all that there are of one storage, are that storage as it lies in the file.
bool is_one_stretch(const std::vector<WeightCopy*>& copies) {
  const auto& first = *copies[0];
  size_t bytes = 0;
  for (const auto* copy : copies) {
    const auto& target = copy->target;
    if (!target.is_cpu() || target.scalar_type() != copy->stored) return false;
    if (copy->file != first.file || storage_begin(*copy) != storage_begin(first)) return false;
    bytes += target.nbytes();
  }
  // The format does not promise that numbers lie where processors want them.
  const auto item = static_cast<uint64_t>(first.target.element_size());
  return bytes == first.target.storage().nbytes() && first.begin % item == 0;
}

}  // namespace

WeightFiles map_weights(const Checkpoint& checkpoint, std::vector<WeightCopy>& copies) {
  std::map<const c10::StorageImpl*, std::vector<WeightCopy*>> by_storage;
  for (auto& copy : copies) {
    by_storage[copy.target.storage().unsafeGetStorageImpl()].push_back(&copy);
  }
  std::map<int32_t, std::shared_ptr<FileMapping>> mappings;
  for (auto& [storage, parts] : by_storage) {
    if (!is_one_stretch(parts)) continue;
    const auto file = parts[0]->file;
    const auto [found, is_new] = mappings.try_emplace(file);
    if (is_new) found->second = checkpoint.map(file);
    const auto& mapping = found->second;
    if (!mapping) continue;
    const auto holder = new std::shared_ptr<const FileMapping>(mapping);
    parts[0]->target.storage().set_data_ptr_noswap(
        {mapping->data() + storage_begin(*parts[0]), holder,
         [](void* context) { delete static_cast<std::shared_ptr<const FileMapping>*>(context); }, at::kCPU});
    for (auto* part : parts) part->is_in_place = true;
  }
  for (const auto& copy : copies) {
    const auto found = mappings.find(copy.file);
    if (copy.is_in_place || found == mappings.end() || !found->second) continue;
    const auto bytes = static_cast<uint64_t>(copy.target.numel()) * c10::elementSize(copy.stored);
    found->second->leave_out(copy.begin, copy.begin + bytes);
  }
  std::vector<std::shared_ptr<const FileMapping>> files;
  for (auto& [file, mapping] : mappings) {
    if (mapping) files.push_back(std::move(mapping));
  }
  return WeightFiles(std::move(files));
}

}  // namespace facellm

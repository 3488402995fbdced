#include "checkpoint/file_mapping.h"

#include <sys/mman.h>
#include <unistd.h>

#include "core/error.h"

namespace facellm {

std::shared_ptr<FileMapping> FileMapping::map(std::shared_ptr<const DataFile> file) {
  // Writable, so that a write by mistake costs a page and not the process.
  void* const data = ::mmap(nullptr, file->size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE,
                            file->descriptor(), 0);
  if (data == MAP_FAILED) return nullptr;
  auto guard = GuardedRange::guard(data, file->size());
  if (!guard) {
    ::munmap(data, file->size());
    return nullptr;
  }
  return std::shared_ptr<FileMapping>(
      new FileMapping(std::move(file), static_cast<std::byte*>(data), std::move(*guard)));
}

void FileMapping::leave_out(uint64_t begin, uint64_t end) {
  const auto page = static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  const uint64_t first = (begin + page - 1) / page * page, last = end / page * page;
  if (first >= last) return;
  ::mmap(data_ + first, last - first, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
}

FileMapping::~FileMapping() {
  guard_.reset();  // before another mapping can get the addresses
  ::munmap(data_, file_->size());
}

bool FileMapping::has_changed() const {
  const std::lock_guard lock(mutex_);
  if (change_.empty()) change_ = file_->change();
  if (change_.empty() && guard_->is_damaged()) change_ = "a part of it could not be read";
  return !change_.empty();
}

void FileMapping::require_unchanged() const {
  if (!has_changed()) return;
  throw Error(ErrorCode::kCheckpointInvalid,
              file_->path() + ": changed while a model used it (" + change_ +
                  "), so that the model's weights are no longer known; load the model again, and replace such "
                  "files by renaming a new one over them, or load without mmap",
              {file_->path() + ": " + change_});
}

}  // namespace facellm

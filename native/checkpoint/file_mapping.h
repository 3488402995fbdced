// The bytes of a file as memory, shared with the system's page cache: nothing is copied, and processes that map
// the same file share it. As long as the mapping lives the file is part of the model, so it is watched.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "checkpoint/data_file.h"
#include "core/bus_guard.h"

namespace facellm {

class FileMapping {
 public:
  // The whole file. Writing to it is allowed and private. Null if the system does not map it: read it then.
  static std::shared_ptr<FileMapping> map(std::shared_ptr<const DataFile> file);

  FileMapping(const FileMapping&) = delete;
  FileMapping& operator=(const FileMapping&) = delete;
  ~FileMapping();

  std::byte* data() const { return data_; }
  // Bytes [begin, end) of the file will not be used: the whole pages among them leave memory, where the system
  // would otherwise bring them along with their neighbours. Their addresses stay taken.
  void leave_out(uint64_t begin, uint64_t end);
  // True once the file was seen not to be what it was when it was opened, by its length and its time of change, or a
  // page of it was missing when it was needed. Remembered: what was computed meanwhile may still lie in a cache
  // when the file is put back. Costs a system call. What a program does through a shared mapping of its own, or what
  // is put back together with its time of change between two calls, is not seen.
  bool has_changed() const;
  // Throws kCheckpointInvalid if it has.
  void require_unchanged() const;

 private:
  FileMapping(std::shared_ptr<const DataFile> file, std::byte* data, GuardedRange guard)
      : file_(std::move(file)), data_(data), guard_(std::move(guard)) {}

  std::shared_ptr<const DataFile> file_;
  std::byte* data_;
  std::optional<GuardedRange> guard_;
  mutable std::mutex mutex_;
  mutable std::string change_;  // the first one seen
};

}  // namespace facellm

// A file of weights, read piece by piece (POSIX pread). It is never mapped: touching a mapping whose
// file someone else has cut short ends the process (SIGBUS), where a read tells. Reading is no slower
// either (docs/decisions/2026-11-25-loading.md).
#pragma once

#include <cstdint>
#include <memory>
#include <string>

namespace facellm {

// Safe to use from several threads at once.
class DataFile {
 public:
  // Throws kCheckpointNotFound if `path` is absent, not a regular file or unreadable, and
  // kCheckpointInvalid if it is empty. The message starts with `path`.
  static std::shared_ptr<const DataFile> open(const std::string& path);

  DataFile(const DataFile&) = delete;
  DataFile& operator=(const DataFile&) = delete;
  ~DataFile();

  // Bytes of the file when it was opened.
  uint64_t size() const { return size_; }

  // Fills `target` with the bytes [begin, begin + bytes). Throws kCheckpointInvalid if the file has
  // become shorter since it was opened, kCheckpointNotFound if the disk fails.
  void read(uint64_t begin, uint64_t bytes, void* target) const;
  // Asks the disk for [begin, end) without waiting. Advice only.
  void prefetch(uint64_t begin, uint64_t end) const;

 private:
  DataFile(std::string path, int descriptor) : path_(std::move(path)), descriptor_(descriptor) {}

  std::string path_;
  int descriptor_;
  uint64_t size_ = 0;
};

}  // namespace facellm

// A file of weights, read piece by piece (POSIX pread), or mapped as a whole by checkpoint/file_mapping
// (docs/decisions/2026-11-25-loading.md says when which).
#pragma once

#include <sys/stat.h>

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

  const std::string& path() const { return path_; }
  // Bytes of the file when it was opened.
  uint64_t size() const { return static_cast<uint64_t>(opened_.st_size); }
  int descriptor() const { return descriptor_; }

  // What happened to the file since it was opened, by its length and time of change, in a few words; "" if
  // nothing. A new file of the same name is another file.
  std::string change() const;

  // Fills `target` with the bytes [begin, begin + bytes). Throws kCheckpointInvalid if the file has
  // become shorter since it was opened, kCheckpointNotFound if the disk fails.
  void read(uint64_t begin, uint64_t bytes, void* target) const;
  // Asks the disk for [begin, end) without waiting. Advice only.
  void prefetch(uint64_t begin, uint64_t end) const;

 private:
  DataFile(std::string path, int descriptor) : path_(std::move(path)), descriptor_(descriptor) {}

  std::string path_;
  int descriptor_;
  struct stat opened_ {};
};

}  // namespace facellm

// A whole file mapped read-only into memory (POSIX mmap). Pages are read from the disk when touched
// and can be given back one tensor at a time, so that a checkpoint larger than memory can be read.
// A file cut short by someone else while it is mapped ends the process (SIGBUS): the check of its
// size happens once, when opening.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace facellm {

class MappedFile {
 public:
  // Throws kCheckpointNotFound if `path` is absent, not a regular file or unreadable, and
  // kCheckpointInvalid if it is empty. The message starts with `path`.
  static std::shared_ptr<const MappedFile> open(const std::string& path);

  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  const std::byte* data() const { return data_; }
  uint64_t size() const { return size_; }

  // Lets the whole pages inside [begin, end) leave memory; touching them reads the file again.
  void release(uint64_t begin, uint64_t end) const;
  // Asks the disk for the pages of [begin, end) without waiting. Advice only.
  void prefetch(uint64_t begin, uint64_t end) const;

 private:
  MappedFile(const std::byte* data, uint64_t size) : data_(data), size_(size) {}

  const std::byte* data_;
  uint64_t size_;
};

}  // namespace facellm

#include "checkpoint/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "core/error.h"

namespace facellm {
namespace {

struct FileDescriptor {
  int value;
  ~FileDescriptor() {
    if (value >= 0) ::close(value);
  }
};

[[noreturn]] void throw_unreadable(const std::string& path, int error) {
  throw Error(ErrorCode::kCheckpointNotFound,
              path + ": cannot be read: " + std::system_category().message(error));
}

}  // namespace

std::shared_ptr<const MappedFile> MappedFile::open(const std::string& path) {
  // Opening a pipe would otherwise wait for a writer.
  const FileDescriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (file.value < 0) throw_unreadable(path, errno);
  struct stat status {};
  if (::fstat(file.value, &status) != 0) throw_unreadable(path, errno);
  if (S_ISDIR(status.st_mode)) {
    throw Error(ErrorCode::kCheckpointNotFound, path + ": is a folder, expected a file");
  }
  if (!S_ISREG(status.st_mode)) {
    throw Error(ErrorCode::kCheckpointNotFound, path + ": is not a regular file");
  }
  if (status.st_size <= 0) {
    throw Error(ErrorCode::kCheckpointInvalid, path + ": is empty (0 bytes)");
  }
  const auto size = static_cast<uint64_t>(status.st_size);
  void* data = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, file.value, 0);
  if (data == MAP_FAILED) throw_unreadable(path, errno);
  ::madvise(data, size, MADV_SEQUENTIAL);  // advice only: a refusal costs speed, nothing else
  return std::shared_ptr<const MappedFile>(
      new MappedFile(static_cast<const std::byte*>(data), size));
}

MappedFile::~MappedFile() { ::munmap(const_cast<std::byte*>(data_), size_); }

void MappedFile::release(uint64_t begin, uint64_t end) const {
  const auto page = static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  const uint64_t first = (begin + page - 1) / page * page;
  const uint64_t last = std::min(end, size_) / page * page;
  if (first >= last) return;
  ::madvise(const_cast<std::byte*>(data_) + first, last - first, MADV_DONTNEED);
}

void MappedFile::prefetch(uint64_t begin, uint64_t end) const {
  const auto page = static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  const uint64_t first = begin / page * page, last = std::min(end, size_);
  if (first >= last) return;
  ::madvise(const_cast<std::byte*>(data_) + first, last - first, MADV_WILLNEED);
}

}  // namespace facellm

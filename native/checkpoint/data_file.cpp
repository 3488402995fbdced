#include "checkpoint/data_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <system_error>

#include "core/error.h"

namespace facellm {
namespace {

[[noreturn]] void throw_unreadable(const std::string& path, int error) {
  throw Error(ErrorCode::kCheckpointNotFound,
              path + ": cannot be read: " + std::system_category().message(error));
}

}  // namespace

std::shared_ptr<const DataFile> DataFile::open(const std::string& path) {
  // Opening a pipe would otherwise wait for a writer.
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) throw_unreadable(path, errno);
  const std::shared_ptr<DataFile> file(new DataFile(path, descriptor));
  auto& status = file->opened_;
  if (::fstat(descriptor, &status) != 0) throw_unreadable(path, errno);
  if (S_ISDIR(status.st_mode)) {
    throw Error(ErrorCode::kCheckpointNotFound, path + ": is a folder, expected a file");
  }
  if (!S_ISREG(status.st_mode)) {
    throw Error(ErrorCode::kCheckpointNotFound, path + ": is not a regular file");
  }
  if (status.st_size <= 0) {
    throw Error(ErrorCode::kCheckpointInvalid, path + ": is empty (0 bytes)");
  }
  return file;
}

DataFile::~DataFile() { ::close(descriptor_); }

void DataFile::read(uint64_t begin, uint64_t bytes, void* target) const {
  auto* to = static_cast<std::byte*>(target);
  uint64_t done = 0;
  while (done < bytes) {
    const ssize_t count =
        ::pread(descriptor_, to + done, bytes - done, static_cast<off_t>(begin + done));
    if (count > 0) {
      done += static_cast<uint64_t>(count);
    } else if (count == 0) {
      const std::string what = path_ + ": was cut short to " + std::to_string(begin + done) +
                               " bytes while it was read, it had " + std::to_string(size());
      throw Error(ErrorCode::kCheckpointInvalid, what + "; fetch it again and leave it alone", {what});
    } else if (errno != EINTR) {
      throw_unreadable(path_, errno);
    }
  }
}

std::string DataFile::change() const {
  struct stat now {};
  if (::fstat(descriptor_, &now) != 0) return std::system_category().message(errno);
  if (now.st_size != opened_.st_size) {
    return "it had " + std::to_string(opened_.st_size) + " bytes and has " + std::to_string(now.st_size);
  }
  const auto &then = opened_.st_mtim, &last = now.st_mtim;
  return then.tv_sec == last.tv_sec && then.tv_nsec == last.tv_nsec ? "" : "it was written to";
}

void DataFile::prefetch(uint64_t begin, uint64_t end) const {
  const uint64_t last = std::min(end, size());
  if (begin >= last) return;
  ::posix_fadvise(descriptor_, static_cast<off_t>(begin), static_cast<off_t>(last - begin),
                  POSIX_FADV_WILLNEED);
}

}  // namespace facellm

#include "checkpoint/safetensors_writer.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "core/error.h"

namespace facellm {
namespace {

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      char escape[8];
      std::snprintf(escape, sizeof(escape), "\\u%04x", c);
      out += escape;
    } else {
      out += c;
    }
  }
  return out + "\"";
}

const char* dtype_text(at::ScalarType dtype) {
  switch (dtype) {
    case at::kFloat: return "F32";
    case at::kHalf: return "F16";
    case at::kBFloat16: return "BF16";
    case at::kChar: return "I8";
    case at::kInt: return "I32";
    case at::kLong: return "I64";
    case at::kFloat8_e4m3fn: return "F8_E4M3";
    default: throw Error(ErrorCode::kInternal, "safetensors: a dtype that is never written");
  }
}

uint64_t byte_size(const TensorToWrite& tensor) {
  uint64_t size = c10::elementSize(tensor.dtype);
  for (const int64_t extent : tensor.shape) size *= static_cast<uint64_t>(extent);
  return size;
}

std::string header_of(const std::vector<TensorToWrite>& tensors,
                      const std::vector<std::pair<std::string, std::string>>& metadata) {
  std::string text = "{\"__metadata__\":{";
  for (size_t i = 0; i < metadata.size(); ++i) {
    text += (i ? "," : "") + quoted(metadata[i].first) + ":" + quoted(metadata[i].second);
  }
  text += "}";
  uint64_t offset = 0;
  for (const auto& tensor : tensors) {
    text += "," + quoted(tensor.name) + ":{\"dtype\":\"" + dtype_text(tensor.dtype) + "\",\"shape\":[";
    for (size_t i = 0; i < tensor.shape.size(); ++i) {
      text += (i ? "," : "") + std::to_string(tensor.shape[i]);
    }
    const uint64_t end = offset + byte_size(tensor);
    text += "],\"data_offsets\":[" + std::to_string(offset) + "," + std::to_string(end) + "]}";
    offset = end;
  }
  text += "}";
  text.resize((text.size() + 7) / 8 * 8, ' ');
  return text;
}

// A file that vanishes unless it is finished.
class PendingFile {
 public:
  explicit PendingFile(const std::string& path) : path_(path), pending_(path + ".tmp") {
    descriptor_ = ::open(pending_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (descriptor_ < 0) fail("created");
  }
  ~PendingFile() {
    if (descriptor_ >= 0) ::close(descriptor_);
    if (!is_finished_) ::unlink(pending_.c_str());
  }
  PendingFile(const PendingFile&) = delete;
  PendingFile& operator=(const PendingFile&) = delete;

  void write(const void* data, size_t size) {
    const auto* bytes = static_cast<const char*>(data);
    while (size > 0) {
      constexpr size_t kAtOnce = size_t{1} << 30;  // Linux writes at most 2 GB a call
      const auto written = ::write(descriptor_, bytes, std::min(size, kAtOnce));
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) fail("written");
      bytes += written;
      size -= static_cast<size_t>(written);
    }
  }
  void finish() {
    if (::fsync(descriptor_) != 0) fail("flushed to the disk");
    const int descriptor = std::exchange(descriptor_, -1);
    if (::close(descriptor) != 0) fail("closed");
    if (::rename(pending_.c_str(), path_.c_str()) != 0) fail("renamed");
    is_finished_ = true;
  }

 private:
  [[noreturn]] void fail(const char* step) const {
    const int cause = errno;
    throw Error(ErrorCode::kRunWrite, path_ + " could not be " + step + ": " + std::strerror(cause) +
                                          (cause == ENOSPC || cause == EDQUOT
                                               ? "; free some space and resume, what was saved before is intact"
                                               : "; check the path and its permissions"));
  }

  std::string path_, pending_;
  int descriptor_ = -1;
  bool is_finished_ = false;
};

}  // namespace

void write_safetensors(const std::string& path, const std::vector<TensorToWrite>& tensors,
                       const std::vector<std::pair<std::string, std::string>>& metadata) {
  const auto header = header_of(tensors, metadata);
  PendingFile file(path);
  const uint64_t length = header.size();
  file.write(&length, sizeof(length));  // little endian, as every machine that libtorch runs on
  file.write(header.data(), header.size());
  for (const auto& tensor : tensors) {
    const auto value = tensor.make().to(at::kCPU).contiguous();
    if (value.scalar_type() != tensor.dtype || value.sizes() != at::IntArrayRef(tensor.shape)) {
      throw Error(ErrorCode::kInternal, "safetensors: " + tensor.name + " is not what was announced");
    }
    file.write(value.const_data_ptr(), value.nbytes());
  }
  file.finish();
}

TensorToWrite to_write(std::string name, const at::Tensor& tensor) {
  return {std::move(name), tensor.scalar_type(), tensor.sizes().vec(), [tensor] { return tensor.detach(); }};
}

}  // namespace facellm

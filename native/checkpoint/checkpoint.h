// The tensors of a safetensors checkpoint, single file or shards, by name: no model knowledge. All
// headers are checked when opening, the data are read only where a view is touched.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "checkpoint/safetensors_file.h"

namespace facellm {

// Immutable and cheap to copy; safe to read from several threads. The files stay mapped as long as
// the checkpoint or any view of them lives.
class Checkpoint {
 public:
  struct Entry {
    at::ScalarType dtype;        // Float, Half or BFloat16
    std::vector<int64_t> shape;
    int32_t file;                // index into the files opened
    uint64_t begin;              // byte range within that file, counted from its start
    uint64_t end;
  };

  // `files`: absolute paths. `weight_map`: tensor name and index into `files`, from the shard
  // index; empty when there is none. Throws kCheckpointNotFound if all that is wrong is absent or
  // unreadable files, else kCheckpointInvalid; `details` lists every problem of every file (the
  // first 200 and a count), naming file and tensor.
  static Checkpoint open(const std::vector<std::string>& files,
                         const std::vector<std::pair<std::string, int32_t>>& weight_map);

  const std::map<std::string, Entry, std::less<>>& entries() const { return entries_; }
  // Last component of the path, for messages.
  const std::string& file_name(int32_t file) const;

  // The tensor on the CPU in its stored dtype and shape, contiguous. It aliases the file: never
  // write to it. Only data that are not aligned to their dtype are copied. kInternal if unknown.
  at::Tensor view(std::string_view name) const;

  // Lets the pages of this tensor leave memory; views stay valid and read the file again.
  void release(std::string_view name) const;
  // The same for part of a tensor, in bytes from its beginning. `prefetch` asks the disk for a range
  // before it is read; it may lead past the tensor into what follows in the file.
  void release(std::string_view name, uint64_t begin, uint64_t end) const;
  void prefetch(std::string_view name, uint64_t begin, uint64_t end) const;

 private:
  const Entry& find(std::string_view name) const;

  std::map<std::string, Entry, std::less<>> entries_;
  std::vector<std::string> file_names_;
  std::vector<std::shared_ptr<const MappedFile>> mappings_;
};

}  // namespace facellm

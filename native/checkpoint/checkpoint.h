// The tensors of a safetensors checkpoint, single file or shards, by name: no model knowledge. All
// headers are checked when opening, data are read when asked for.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "checkpoint/file_mapping.h"
#include "checkpoint/safetensors_file.h"

namespace facellm {

// Immutable and cheap to copy; safe to read from several threads. The files stay open as long as the
// checkpoint lives.
class Checkpoint {
 public:
  struct Entry {
    at::ScalarType dtype;        // Float, Half or BFloat16; those of codes where they are wanted
    std::vector<int64_t> shape;
    int32_t file;                // index into the files opened
    uint64_t begin;              // byte range within that file, counted from its start
    uint64_t end;
  };

  // `files`: absolute paths. `weight_map`: tensor name and index into `files`, from the shard
  // index; empty when there is none. Throws kCheckpointNotFound if all that is wrong is absent or
  // unreadable files, else kCheckpointInvalid; `details` lists every problem of every file (the
  // first 200 and a count), naming file and tensor.
  static Checkpoint open(const std::vector<std::string>& files, const std::vector<std::pair<std::string, int32_t>>& weight_map,
                         StoredDtypes dtypes = StoredDtypes::kNumbers);

  const std::map<std::string, Entry, std::less<>>& entries() const { return entries_; }
  // Last component of the path, for messages.
  const std::string& file_name(int32_t file) const;

  // The tensor on the CPU in its stored dtype and shape, contiguous, in memory of its own. Throws
  // kInternal if unknown, else as DataFile::read.
  at::Tensor view(std::string_view name) const;

  // Bytes [begin, begin + bytes) of a file, for those who know where their tensor goes. As
  // DataFile::read.
  void read(int32_t file, uint64_t begin, uint64_t bytes, void* target) const;
  // The whole file as memory; null if the system does not map it.
  std::shared_ptr<FileMapping> map(int32_t file) const;
  // Asks the disk for bytes that will be read soon. Advice only.
  void prefetch(int32_t file, uint64_t begin, uint64_t end) const;

 private:
  const Entry& find(std::string_view name) const;

  std::map<std::string, Entry, std::less<>> entries_;
  std::vector<std::string> file_names_;
  std::vector<std::shared_ptr<const DataFile>> files_;
};

}  // namespace facellm

// One safetensors file (docs/internvl3.md, section 3.4): its header is parsed and checked against the
// file's size before any tensor data is read.
#pragma once

#include <c10/core/ScalarType.h>

#include <memory>
#include <string>
#include <vector>

#include "checkpoint/data_file.h"
#include "checkpoint/problem_list.h"

namespace facellm {

// What tensors may be: fp32, fp16 and bf16, or the codes of quantised weights too: whole numbers and float8 (e4m3).
enum class StoredDtypes { kNumbers, kNumbersAndCodes };

struct TensorRecord {
  std::string name;
  c10::ScalarType dtype = c10::ScalarType::Undefined;  // of those that were asked for
  std::vector<int64_t> shape;
  uint64_t begin = 0;  // bytes from the start of the file
  uint64_t end = 0;
};

struct SafetensorsFile {
  std::shared_ptr<const DataFile> data;
  std::vector<TensorRecord> tensors;  // in header order
  bool has_all_tensors = false;       // the header was read to its end and every record understood
};

// Reads the header of an opened file. Everything wrong goes to `problems`, each text starting with
// `file`, and then the tensors are not to be read. Demands what the format does: a known dtype,
// shape times item size equal to the length of data_offsets, offsets inside the file, no overlap,
// no gap.
SafetensorsFile read_safetensors(std::shared_ptr<const DataFile> data, const std::string& file,
                                 ProblemList& problems, StoredDtypes dtypes = StoredDtypes::kNumbers);

}  // namespace facellm

// The JSON header of a safetensors file: tensor name -> dtype, shape, data_offsets, and the
// optional __metadata__ of strings (docs/internvl3.md, section 3.4). Only its form is judged here;
// whether the numbers make sense is safetensors_file's affair.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/problem_list.h"

namespace facellm {

struct HeaderTensor {
  std::string name;
  std::string dtype;             // as written, "BF16"
  std::vector<uint64_t> shape;
  uint64_t begin = 0;            // bytes from the first byte after the header
  uint64_t end = 0;
};

// Every well-formed tensor of the header, in its order. Whatever is malformed goes to `problems`,
// each text starting with `file`; a syntax error ends the reading there.
std::vector<HeaderTensor> parse_json_header(std::string_view text, const std::string& file,
                                            ProblemList& problems);

}  // namespace facellm

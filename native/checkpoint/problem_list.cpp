#include "checkpoint/problem_list.h"

namespace facellm {

std::string printable(std::string_view name) {
  constexpr size_t kMaxBytes = 200;
  constexpr char kHex[] = "0123456789abcdef";
  std::string out;
  for (size_t i = 0; i < name.size(); ++i) {
    const auto byte = static_cast<unsigned char>(name[i]);
    const bool starts_character = (byte & 0xC0) != 0x80;
    if (starts_character && out.size() >= kMaxBytes) return out + "...";
    if (byte < 0x20 || byte == 0x7F) {
      out += "\\x";
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    } else {
      out += static_cast<char>(byte);
    }
  }
  return out.empty() ? "(empty name)" : out;
}

}  // namespace facellm

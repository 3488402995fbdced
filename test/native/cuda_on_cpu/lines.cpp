// Lines of addresses, which binutils' addr2line reads out of the module.
#include <cstdio>
#include <map>
#include <string_view>

#include "symbols.h"

namespace cuda_on_cpu {
namespace {

std::string ask(uint32_t offset) {
  std::string path;
  for (const char c : module_path()) path += c == '\'' ? std::string("'\\''") : std::string(1, c);
  char at[32];
  std::snprintf(at, sizeof at, "0x%x", offset - 1);  // a return address: the call is before it
  std::string text;
  if (FILE* const pipe = popen(("addr2line -i -e '" + path + "' " + at + " 2>/dev/null").c_str(), "re")) {
    char line[4096];
    while (std::fgets(line, sizeof line, pipe) != nullptr) {
      std::string_view one(line);
      one = one.substr(0, one.find_first_of(" \n"));  // without "(discriminator 3)"
      if (one.starts_with("./")) one.remove_prefix(2);
      if (!one.starts_with("??")) text += (text.empty() ? "" : "; in ") + std::string(one);
    }
    pclose(pipe);
  }
  return text.empty() ? module_path() + "+" + at : text;
}

}  // namespace

std::string line_of(uint32_t offset) {
  if (offset == 0) return "code outside of the module";
  static std::map<uint32_t, std::string> known;  // each takes a process; launches come one at a time
  std::string& line = known[offset];
  if (line.empty()) line = ask(offset);
  return line;
}

}  // namespace cuda_on_cpu

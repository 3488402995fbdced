#include "symbols.h"

#include <cxxabi.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string_view>

// A thread-local variable with a name that is easy to find: where it lies on this thread tells where all others do.
extern "C" {
__attribute__((visibility("hidden"))) __thread char cuda_on_cpu_anchor;
}

namespace cuda_on_cpu {
namespace {

constexpr const char* kOwnProgram = "/proc/self/exe";

struct Symbol {
  uint64_t value, bytes;
  std::string name;
};

struct Module {
  std::string path;
  uintptr_t bias = 0;  // added to the file's addresses
  uintptr_t begin = 0, end = 0;
  std::vector<Symbol> functions, thread_locals;
};

std::string demangled(const std::string& name) {
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> text(abi::__cxa_demangle(name.c_str(), nullptr, nullptr, &status), free);
  return status == 0 ? text.get() : name;
}

// Of "void a::b<c::d>(e)" remains "b<c::d>".
std::string function_name(std::string text) {
  constexpr std::string_view kAnonymous = "(anonymous namespace)::";
  for (size_t at; (at = text.find(kAnonymous)) != std::string::npos;) text.erase(at, kAnonymous.size());
  int depth = 0;
  size_t begin = 0, end = text.size();
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '<') ++depth;
    if (text[i] == '>') --depth;
    if (depth > 0) continue;
    if (text[i] == ' ' || text[i] == ':') begin = i + 1;
    if (text[i] == '(') {
      end = i;
      break;
    }
  }
  return text.substr(begin, end - begin);
}

// Of "void a::b(e)::x" remains "b::x".
std::string variable_name(const std::string& text) {
  const size_t at = text.rfind("::");
  return at == std::string::npos ? text : function_name(text.substr(0, at)) + text.substr(at);
}

void find_module(Module& module) {
  dl_iterate_phdr(
      [](dl_phdr_info* info, size_t, void* data) {
        const auto own = reinterpret_cast<uintptr_t>(&find_module);
        auto& found = *static_cast<Module*>(data);
        uintptr_t begin = UINTPTR_MAX, end = 0;
        for (int i = 0; i < info->dlpi_phnum; ++i) {
          const auto& part = info->dlpi_phdr[i];
          if (part.p_type != PT_LOAD) continue;
          begin = std::min<uintptr_t>(begin, info->dlpi_addr + part.p_vaddr);
          end = std::max<uintptr_t>(end, info->dlpi_addr + part.p_vaddr + part.p_memsz);
        }
        if (own < begin || own >= end) return 0;
        found.path = *info->dlpi_name != '\0' ? info->dlpi_name : kOwnProgram;
        found.bias = info->dlpi_addr;
        found.begin = begin;
        found.end = end;
        return 1;
      },
      &module);
}

void read_symbols(Module& module) {
  const int file = open(module.path.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat status {};
  if (file < 0 || fstat(file, &status) != 0) throw std::runtime_error("cuda_on_cpu: cannot read " + module.path);
  const auto size = static_cast<size_t>(status.st_size);
  void* const mapped = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file, 0);
  close(file);
  if (mapped == MAP_FAILED) throw std::runtime_error("cuda_on_cpu: cannot map " + module.path);
  const char* const image = static_cast<const char*>(mapped);
  const auto* const header = reinterpret_cast<const ElfW(Ehdr)*>(image);
  const auto* const sections = reinterpret_cast<const ElfW(Shdr)*>(image + header->e_shoff);
  for (int i = 0; i < header->e_shnum; ++i) {
    if (sections[i].sh_type != SHT_SYMTAB) continue;
    const auto* const symbols = reinterpret_cast<const ElfW(Sym)*>(image + sections[i].sh_offset);
    const char* const names = image + sections[sections[i].sh_link].sh_offset;
    for (size_t s = 0; s < sections[i].sh_size / sizeof(ElfW(Sym)); ++s) {
      const auto& symbol = symbols[s];
      if (symbol.st_shndx == SHN_UNDEF) continue;
      const int type = symbol.st_info & 0xf;
      if (type == STT_FUNC) module.functions.push_back({symbol.st_value, symbol.st_size, names + symbol.st_name});
      if (type == STT_TLS) module.thread_locals.push_back({symbol.st_value, symbol.st_size, names + symbol.st_name});
    }
  }
  munmap(mapped, size);
  if (module.functions.empty()) {
    throw std::runtime_error("cuda_on_cpu: " + module.path + " is stripped; static shared memory is found by its symbols");
  }
}

const Module& own_module() {
  static const Module module = [] {
    Module made;
    find_module(made);
    read_symbols(made);
    return made;
  }();
  return module;
}

}  // namespace

uint32_t offset_of(const void* code) {
  const Module& module = own_module();
  const auto address = reinterpret_cast<uintptr_t>(code);
  return address >= module.begin && address < module.end ? static_cast<uint32_t>(address - module.bias) : 0;
}

std::string module_path() {
  const std::string& path = own_module().path;
  if (path != kOwnProgram) return path;
  char target[4096];  // for other processes, where the link would be their own
  const auto length = readlink(kOwnProgram, target, sizeof target);
  return length > 0 ? std::string(target, static_cast<size_t>(length)) : path;
}

std::string kernel_name(const void* kernel) {
  const Module& module = own_module();
  const uint64_t value = reinterpret_cast<uintptr_t>(kernel) - module.bias;
  const auto found = std::find_if(module.functions.begin(), module.functions.end(),
                                  [&](const Symbol& symbol) { return symbol.value == value; });
  return found == module.functions.end() ? "a kernel without a name" : function_name(demangled(found->name));
}

std::vector<StaticShared> static_shared() {
  struct Known {
    uint64_t anchor = 0;
    std::vector<Symbol> variables;
  };
  static const Known known = [] {
    Known made;
    bool has_anchor = false;
    for (const auto& symbol : own_module().thread_locals) {
      if (symbol.name == "cuda_on_cpu_anchor") {
        made.anchor = symbol.value;
        has_anchor = true;
      }
      // Variables of functions; others are no kernel's.
      if (symbol.name.starts_with("_ZZ")) made.variables.push_back({symbol.value, symbol.bytes, variable_name(demangled(symbol.name))});
    }
    if (!has_anchor) throw std::runtime_error("cuda_on_cpu: no anchor among the module's thread-local variables");
    return made;
  }();
  const uintptr_t base = reinterpret_cast<uintptr_t>(&cuda_on_cpu_anchor) - known.anchor;
  std::vector<StaticShared> found;
  for (const auto& one : known.variables) found.push_back({one.name, base + one.value, one.bytes});
  return found;
}

}  // namespace cuda_on_cpu

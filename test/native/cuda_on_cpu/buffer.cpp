// Memory for tests: as aligned as the device's, and with its end close to a page that nobody may touch.
#include <sys/mman.h>

#include <cstring>
#include <map>
#include <mutex>
#include <new>

#include "cuda_on_cpu.h"

namespace cuda_on_cpu {
namespace {

constexpr size_t kPage = 4096, kAlignment = 256;
struct Mapping {
  char* begin;
  size_t bytes;
};
std::mutex mutex;
std::map<void*, Mapping> mappings;

}  // namespace

void* allocate(size_t bytes, const std::string& name) {
  const size_t own = (bytes + kAlignment - 1) / kAlignment * kAlignment, pages = (own + kPage - 1) / kPage * kPage;
  void* const memory = mmap(nullptr, pages + kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  char* const begin = static_cast<char*>(memory);
  mprotect(begin + pages, kPage, PROT_NONE);
  char* const data = begin + pages - own;
  std::memset(data, 0xff, own);
  const std::lock_guard lock(mutex);
  mappings[data] = {begin, pages + kPage};
  add_region(data, bytes, name);
  return data;
}

void release(void* data) {
  remove_region(data);
  const std::lock_guard lock(mutex);
  const auto found = mappings.find(data);
  munmap(found->second.begin, found->second.bytes);
  mappings.erase(found);
}

}  // namespace cuda_on_cpu

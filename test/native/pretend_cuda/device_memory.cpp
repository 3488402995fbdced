#include "device_memory.h"

#include <c10/util/Exception.h>
#include <execinfo.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <map>
#include <mutex>

#include "cuda_on_cpu.h"
#include "pretend_cuda.h"
#include "record.h"
#include "stream_order.h"

namespace pretend_cuda {
namespace {

constexpr size_t kPage = 4096, kArena = size_t{1} << 38, kPadding = 16;
constexpr unsigned char kPoison = 0xff;  // NaN in every float type

struct Block {
  size_t begin, mapped, bytes;
  int device;
  int64_t serial;
};

struct Memory {
  int file = -1;
  char *device = nullptr, *host = nullptr;  // the same bytes
  std::mutex mutex;
  std::map<size_t, Block> blocks;  // by where their data begin
  size_t next = kPage;             // addresses are not used again
  int64_t serial = 0, own_since = -1;
  int64_t fails_after = -1, limit = -1;
  std::array<int64_t, kDevices> live{}, peak{};
};

bool within(const void* p, const char* base) {
  const auto* const q = static_cast<const char*>(p);
  return base != nullptr && q >= base && q < base + kArena;
}

struct sigaction previous;
void on_fault(int number, siginfo_t* info, void* context);

Memory& memory() {
  static Memory& only = *[] {
    auto* const made = new Memory;  // outlives every tensor
    made->file = memfd_create("pretend_cuda", MFD_CLOEXEC);
    // A limit on the size of files, by which a test fills the disk, is none on a device's memory.
    rlimit own{};
    getrlimit(RLIMIT_FSIZE, &own);
    const rlimit raised{own.rlim_max, own.rlim_max};
    setrlimit(RLIMIT_FSIZE, &raised);
    const bool is_sized = made->file >= 0 && ftruncate(made->file, kArena) == 0;
    setrlimit(RLIMIT_FSIZE, &own);
    TORCH_CHECK(is_sized, "pretend_cuda: no memory file");
    const auto map = [&] {
      void* const p = mmap(nullptr, kArena, PROT_NONE, MAP_SHARED | MAP_NORESERVE, made->file, 0);
      TORCH_CHECK(p != MAP_FAILED, "pretend_cuda: no addresses");
      return static_cast<char*>(p);
    };
    made->device = map();
    made->host = map();
    return made;
  }();
  static const bool is_watched = [] {
    struct sigaction action {};
    action.sa_sigaction = &on_fault;
    action.sa_flags = SA_SIGINFO;
    return sigaction(SIGSEGV, &action, &previous) == 0;
  }();
  (void)is_watched;
  return only;
}

const std::pair<const size_t, Block>* find(const Memory& m, size_t offset) {
  const auto next = m.blocks.upper_bound(offset);
  return next == m.blocks.begin() ? nullptr : &*std::prev(next);
}

std::string text_of(const Memory& m, size_t offset) {
  const auto* const found = find(m, offset);
  if (found == nullptr || offset >= found->second.begin + found->second.mapped + kPage) {
    return "memory that is not allocated, or no longer";
  }
  return "byte " + std::to_string(offset - found->first) + " of an allocation of " + std::to_string(found->second.bytes) +
         " bytes on cuda:" + std::to_string(found->second.device);
}

// Ends the process: there is no way on from a load that has no value.
void on_fault(int number, siginfo_t* info, void* context) {
  Memory& m = memory();
  const auto* const p = static_cast<const char*>(info->si_addr);
  const bool is_device = within(p, m.device);
  if (!is_device && !within(p, m.host)) {
    // Told before whoever was asked before, node for one, ends the process without a word.
    constexpr char kText[] = "pretend_cuda: a fault that is not the device's:\n";
    (void)!write(STDERR_FILENO, kText, sizeof kText - 1);
    std::array<void*, 48> frames;
    backtrace_symbols_fd(frames.data(), backtrace(frames.data(), frames.size()), STDERR_FILENO);
    if (previous.sa_flags & SA_SIGINFO) return previous.sa_sigaction(number, info, context);
    sigaction(number, &previous, nullptr);
    return;
  }
  const auto offset = static_cast<size_t>(p - (is_device ? m.device : m.host));
  const bool is_locked = m.mutex.try_lock();
  std::string text = std::string("pretend_cuda: ") + (is_device ? "the host touches the device's memory: "
                                                                : "an operation leaves its allocation: ");
  text += (is_locked ? text_of(m, offset) : "offset " + std::to_string(offset)) + "\n";
  (void)!write(STDERR_FILENO, text.data(), text.size());
  std::array<void*, 48> frames;
  backtrace_symbols_fd(frames.data(), backtrace(frames.data(), frames.size()), STDERR_FILENO);
  _exit(86);
}

size_t padded(size_t bytes) { return (bytes + kPadding - 1) / kPadding * kPadding; }

bool is_padding_whole(const Memory& m, size_t data, size_t bytes) {
  const auto* const begin = reinterpret_cast<const unsigned char*>(m.host) + data;
  return std::all_of(begin + bytes, begin + padded(bytes), [](unsigned char byte) { return byte == kPoison; });
}

}  // namespace

void* allocate(size_t bytes, int device) {
  if (bytes == 0) return nullptr;
  Memory& m = memory();
  std::unique_lock lock(m.mutex);
  const auto size = static_cast<int64_t>(padded(bytes));
  const bool fails = m.fails_after >= 0 && m.fails_after-- == 0;
  if (fails || (m.limit >= 0 && m.live[device] + size > m.limit)) {
    TORCH_CHECK_WITH(OutOfMemoryError, false, "CUDA out of memory. Tried to allocate ", bytes, " bytes. GPU ", device);
  }
  // Data end where a page does, and a page that nobody may touch follows.
  const size_t mapped = (padded(bytes) + kPage - 1) / kPage * kPage, begin = m.next, data = begin + mapped - padded(bytes);
  m.next += mapped + kPage;
  TORCH_CHECK(m.next < kArena, "pretend_cuda: all addresses are used");
  TORCH_CHECK(mprotect(m.host + begin, mapped, PROT_READ | PROT_WRITE) == 0, "pretend_cuda: mprotect failed");
  std::memset(m.host + begin, kPoison, mapped);
  m.blocks[data] = {begin, mapped, bytes, device, m.serial++};
  m.live[device] += size;
  m.peak[device] = std::max(m.peak[device], m.live[device]);
  lock.unlock();  // a launch, which holds the regions, asks for names
  cuda_on_cpu::add_region(m.host + data, bytes, "an allocation of " + std::to_string(bytes) + " bytes");
  note_allocation(bytes);
  note_allocated(m.device + data, device);
  return m.device + data;
}

void release(void* p) {
  if (p == nullptr) return;
  Memory& m = memory();
  note_freed(p);
  cuda_on_cpu::remove_region(host_alias(p));
  const std::lock_guard lock(m.mutex);
  const auto found = m.blocks.find(static_cast<size_t>(static_cast<char*>(p) - m.device));
  if (found == m.blocks.end()) return complain("memory is freed that was not allocated, or twice");
  const auto& [data, block] = *found;
  if (!is_padding_whole(m, data, block.bytes)) complain("written behind the end of an allocation of " + std::to_string(block.bytes) + " bytes");
  mprotect(m.host + block.begin, block.mapped, PROT_NONE);
  fallocate(m.file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(block.begin), static_cast<off_t>(block.mapped));
  m.live[block.device] -= static_cast<int64_t>(padded(block.bytes));
  m.blocks.erase(found);
}

bool owns(const void* p) { return within(p, memory().device); }

void* host_alias(const void* p) {
  return owns(p) ? memory().host + (static_cast<const char*>(p) - memory().device) : const_cast<void*>(p);
}

bool is_host_alias(const void* p) { return within(p, memory().host); }

int device_of(const void* p) {
  if (!owns(p)) return -1;
  Memory& m = memory();
  const std::lock_guard lock(m.mutex);
  const auto* const found = find(m, static_cast<size_t>(static_cast<const char*>(p) - m.device));
  return found == nullptr ? -1 : found->second.device;
}

const void* begin_of(const void* p) {
  if (!owns(p)) return nullptr;
  Memory& m = memory();
  const std::lock_guard lock(m.mutex);
  const auto* const found = find(m, static_cast<size_t>(static_cast<const char*>(p) - m.device));
  const auto offset = static_cast<size_t>(static_cast<const char*>(p) - m.device);
  const bool is_within = found != nullptr && offset < found->second.begin + found->second.mapped;
  return is_within ? m.device + found->first : nullptr;
}

std::string describe(const void* p) {
  Memory& m = memory();
  const std::lock_guard lock(m.mutex);
  return text_of(m, static_cast<size_t>(static_cast<const char*>(p) - m.device));
}

std::string name_of(const void* p) {
  if (p == nullptr) return "nothing";
  if (!owns(p)) return "host";
  Memory& m = memory();
  const std::lock_guard lock(m.mutex);
  const auto offset = static_cast<size_t>(static_cast<const char*>(p) - m.device);
  const auto* const found = find(m, offset);
  if (found == nullptr) return "freed";
  const int64_t serial = found->second.serial;
  const bool is_own = m.own_since >= 0 && serial >= m.own_since;
  return (is_own ? "own " + std::to_string(serial - m.own_since) : "block " + std::to_string(serial)) + "+" +
         std::to_string(offset - found->first);
}

int64_t next_serial() {
  const std::lock_guard lock(memory().mutex);
  return memory().serial;
}

int64_t count_alive_since(int64_t serial) {
  const std::lock_guard lock(memory().mutex);
  return std::ranges::count_if(memory().blocks, [&](const auto& entry) { return entry.second.serial >= serial; });
}

void name_since(int64_t serial) {
  const std::lock_guard lock(memory().mutex);
  memory().own_since = serial;
}

void fail_allocation(int64_t number) {
  const std::lock_guard lock(memory().mutex);
  memory().fails_after = number;
}

bool has_allocation_failed() {
  const std::lock_guard lock(memory().mutex);
  return memory().fails_after < 0;
}

void limit_memory(int64_t bytes) {
  const std::lock_guard lock(memory().mutex);
  memory().limit = bytes;
}

int64_t live_bytes(int device) {
  const std::lock_guard lock(memory().mutex);
  return memory().live[device];
}

int64_t peak_bytes(int device) {
  const std::lock_guard lock(memory().mutex);
  return memory().peak[device];
}

void reset_peak_bytes(int device) {
  const std::lock_guard lock(memory().mutex);
  memory().peak[device] = memory().live[device];
}

}  // namespace pretend_cuda

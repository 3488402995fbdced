// As Wayland's compositors protect themselves from clients that shrink a shared buffer (libwayland,
// wayland-shm.c). The handler may run on any thread at any time: it takes no lock, allocates nothing, and
// reads a table that never moves.
#include "core/bus_guard.h"

#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <mutex>

namespace facellm {
namespace {

struct Slot {
  std::atomic<uintptr_t> begin{0}, end{0};  // end 0: free or being filled in
  std::atomic<bool> is_taken{false};
  std::atomic<bool> is_damaged{false};
};

constexpr size_t kNone = static_cast<size_t>(-1);
std::array<Slot, 1024> slots;
uintptr_t page_bytes = 4096;
struct sigaction previous;  // whose turn it is when the address is not ours

void pass_on(int signal, siginfo_t* info, void* context) {
  const struct sigaction action = previous;
  if (action.sa_handler == SIG_IGN && info->si_code <= 0) return;  // sent by a process, and to be ignored
  if (action.sa_handler == SIG_DFL || action.sa_handler == SIG_IGN) {
    // A fault is never ignored: it would come again for ever. Raised now, the signal ends the process on return.
    ::signal(SIGBUS, SIG_DFL);
    ::raise(SIGBUS);
    return;
  }
  // Reporters of crashes rely on being called once.
  if ((action.sa_flags & static_cast<int>(SA_RESETHAND)) != 0) previous.sa_handler = SIG_DFL;
  if ((action.sa_flags & SA_SIGINFO) != 0) {
    action.sa_sigaction(signal, info, context);
  } else {
    action.sa_handler(signal);
  }
}

void on_bus_error(int signal, siginfo_t* info, void* context) {
  const auto address = reinterpret_cast<uintptr_t>(info->si_addr);
  // si_code above 0: from the kernel, so that si_addr is an address.
  for (size_t i = 0; info->si_code > 0 && i < slots.size(); ++i) {
    auto& slot = slots[i];
    const uintptr_t end = slot.end.load(), page = address & ~(page_bytes - 1);
    if (address < slot.begin.load() || address >= end || slot.end.load() != end) continue;
    slot.is_damaged.store(true);
    // The rest of the range at once: it is lost too, and each page of its own would be a mapping of its own.
    void* const filled = ::mmap(reinterpret_cast<void*>(page), end - page, PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
    if (filled != MAP_FAILED) return;
    break;
  }
  pass_on(signal, info, context);
}

// True if a fault comes to us from now on. Asked for each range: Node resets the action when a program's last
// listener for SIGBUS goes, and a handler that was put over ours may not pass on to it.
bool install() {
  static std::mutex mutex;
  static bool was_installed = false;
  const std::lock_guard lock(mutex);
  struct sigaction now {};
  if (::sigaction(SIGBUS, nullptr, &now) != 0) return false;
  if ((now.sa_flags & SA_SIGINFO) != 0 && now.sa_sigaction == on_bus_error) return true;
  // Someone else's, over ours: to install again before it would make a circle of the two.
  if (was_installed && now.sa_handler != SIG_DFL) return false;
  page_bytes = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  previous = now;
  struct sigaction action {};
  action.sa_sigaction = on_bus_error;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigemptyset(&action.sa_mask);
  was_installed = ::sigaction(SIGBUS, &action, nullptr) == 0;
  return was_installed;
}

}  // namespace

std::optional<GuardedRange> GuardedRange::guard(void* begin, size_t bytes) {
  if (!install()) return std::nullopt;
  for (size_t i = 0; i < slots.size(); ++i) {
    if (slots[i].is_taken.exchange(true)) continue;
    const auto first = reinterpret_cast<uintptr_t>(begin);
    slots[i].is_damaged.store(false);
    slots[i].begin.store(first);
    // To the end of the last page, which the file may fill in part.
    slots[i].end.store((first + bytes + page_bytes - 1) & ~(page_bytes - 1));
    return GuardedRange(i);
  }
  return std::nullopt;
}

GuardedRange::GuardedRange(GuardedRange&& other) noexcept : slot_(other.slot_) { other.slot_ = kNone; }

GuardedRange::~GuardedRange() {
  if (slot_ == kNone) return;
  slots[slot_].end.store(0);
  slots[slot_].is_taken.store(false);
}

bool GuardedRange::is_damaged() const noexcept { return slots[slot_].is_damaged.load(); }

}  // namespace facellm

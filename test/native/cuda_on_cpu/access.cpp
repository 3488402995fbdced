// The calls that the compiler puts before each load and store of a kernel (-fsanitize=thread,alignment), answered here
// instead of by the sanitizer's runtime; and, for what those calls miss, faults of the processor.
#include <signal.h>
#include <ucontext.h>

#include <algorithm>
#include <cstdint>
#include <string>

#include "memory.h"
#include "state.h"
#include "symbols.h"

namespace cuda_on_cpu {
namespace {

inline __attribute__((always_inline)) void access(const void* address, size_t bytes, Access kind, size_t alignment,
                                                  const void* code) {
  if (current_thread() == nullptr) return;
  Outside outside;
  Thread& thread = outside.thread();
  const auto p = reinterpret_cast<uintptr_t>(address);
  if (thread.fiber.owns(p)) return;
  const auto arguments = reinterpret_cast<uintptr_t>(running.launch->data);
  if (kind == Access::kRead && p >= arguments && p < arguments + running.launch->data_bytes) return;
  const uint32_t offset = offset_of(code);
  if (p % alignment != 0) {
    stop(thread, {.fault = Fault::kMisaligned,
                  .what = std::string(kind == Access::kRead ? "reads " : "writes ") + std::to_string(bytes) +
                          " bytes at an address that is no multiple of " + std::to_string(alignment),
                  .thread = thread.number, .code = offset});
  }
  touch(thread, address, bytes, kind, offset);
}

struct sigaction previous;
stack_t previous_stack;
const void* fault_code;

void after_fault() {
  Outside outside;
  stop(outside.thread(), {.fault = Fault::kOutOfBounds, .what = "touches memory that is not there",
                          .thread = outside.thread().number, .code = offset_of(fault_code) + 1});
}

// Lets the thread go on in after_fault(), since a handler can do little; from the top of its stack, which may be full.
void on_fault(int number, siginfo_t* info, void* context) {
#if defined(__x86_64__)
  if (Thread* const thread = current_thread(); thread != nullptr) {
    auto& registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
    fault_code = reinterpret_cast<const void*>(registers[REG_RIP]);
    registers[REG_RSP] = static_cast<greg_t>(thread->fiber.top() - 8);
    registers[REG_RIP] = reinterpret_cast<greg_t>(&after_fault);
    return;
  }
#endif
  // Not a kernel's: who was asked before is asked now.
  if (previous.sa_flags & SA_SIGINFO) return previous.sa_sigaction(number, info, context);
  sigaction(number, &previous, nullptr);
}

}  // namespace

FaultHandler::FaultHandler() {
  static char stack[64 * 1024];
  stack_t own{};
  own.ss_sp = stack;
  own.ss_size = sizeof stack;
  sigaltstack(&own, &previous_stack);
  struct sigaction action {};
  action.sa_sigaction = &on_fault;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
  sigaction(SIGSEGV, &action, &previous);
}

FaultHandler::~FaultHandler() {
  sigaction(SIGSEGV, &previous, nullptr);
  sigaltstack(&previous_stack, nullptr);
}

}  // namespace cuda_on_cpu

// The compiler names a size for the access; its types need alignments of at most 8, the other check sees the rest.
#define FACELLM_HOOKS(bytes)                                                                               \
  extern "C" void __tsan_read##bytes(void* p) {                                                            \
    cuda_on_cpu::access(p, bytes, cuda_on_cpu::Access::kRead, std::min(bytes, 8), __builtin_return_address(0));  \
  }                                                                                                        \
  extern "C" void __tsan_write##bytes(void* p) {                                                           \
    cuda_on_cpu::access(p, bytes, cuda_on_cpu::Access::kWrite, std::min(bytes, 8), __builtin_return_address(0)); \
  }                                                                                                        \
  extern "C" void __tsan_unaligned_read##bytes(void* p) {                                                  \
    cuda_on_cpu::access(p, bytes, cuda_on_cpu::Access::kRead, 1, __builtin_return_address(0));             \
  }                                                                                                        \
  extern "C" void __tsan_unaligned_write##bytes(void* p) {                                                 \
    cuda_on_cpu::access(p, bytes, cuda_on_cpu::Access::kWrite, 1, __builtin_return_address(0));            \
  }
FACELLM_HOOKS(1)
FACELLM_HOOKS(2)
FACELLM_HOOKS(4)
FACELLM_HOOKS(8)
FACELLM_HOOKS(16)

extern "C" {

void __tsan_read_range(void* p, size_t bytes) {
  cuda_on_cpu::access(p, bytes, cuda_on_cpu::Access::kRead, 1, __builtin_return_address(0));
}
void __tsan_write_range(void* p, size_t bytes) {
  cuda_on_cpu::access(p, bytes, cuda_on_cpu::Access::kWrite, 1, __builtin_return_address(0));
}
void __tsan_init() {}
// Guards of the host's static variables.
unsigned char __tsan_atomic8_load(const volatile unsigned char* p, int) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}

// Of libubsan's ABI: a static description of the place, and the address.
struct TypeMismatch {
  const char* file;
  uint32_t line, column;
  const void* type;
  unsigned char log_alignment, kind;
};
void __ubsan_handle_type_mismatch_v1(const TypeMismatch* place, uintptr_t p) {
  if (cuda_on_cpu::current_thread() == nullptr || p == 0) return;
  const uintptr_t alignment = uintptr_t{1} << place->log_alignment;
  if (p % alignment == 0) return;
  const uint32_t offset = cuda_on_cpu::offset_of(__builtin_return_address(0));
  cuda_on_cpu::Outside outside;
  cuda_on_cpu::stop(outside.thread(), {.fault = cuda_on_cpu::Fault::kMisaligned,
                                       .what = "needs an address that is a multiple of " + std::to_string(alignment),
                                       .thread = outside.thread().number, .code = offset});
}
}

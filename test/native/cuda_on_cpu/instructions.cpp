// cp.async, ldmatrix and mma as the PTX manual describes them.
#include <cstring>
#include <utility>

#include "memory.h"
#include "state.h"
#include "symbols.h"

namespace cuda_on_cpu {
namespace {

void require_aligned(Thread& thread, const void* p, int bytes, const char* what, uint32_t code) {
  if (reinterpret_cast<uintptr_t>(p) % static_cast<uintptr_t>(bytes) == 0) return;
  stop(thread, {.fault = Fault::kMisaligned,
                .what = std::string(what) + " at an address that is no multiple of " + std::to_string(bytes),
                .thread = thread.number, .code = code});
}

float bf16_of(uint32_t word, int half) { return __builtin_bit_cast(float, (word >> (16 * half) & 0xffffu) << 16); }

}  // namespace

// The bytes move when they are waited for: until then the target holds NaN, and nobody may touch it.
void copy_async(void* shared, const void* global, int bytes, int valid) {
  const uint32_t code = offset_of(__builtin_return_address(0));
  Outside outside;
  Thread& thread = outside.thread();
  require_aligned(thread, shared, bytes, "copies asynchronously", code);
  if (valid > 0) {
    require_aligned(thread, global, bytes, "copies asynchronously", code);
    touch(thread, global, static_cast<size_t>(valid), Access::kRead, code);
  }
  begin_copy(thread, shared, static_cast<size_t>(bytes), code);
  std::memset(shared, 0xff, static_cast<size_t>(bytes));
  thread.begun.push_back({shared, global, bytes, valid});
}

void copy_async_commit() {
  Outside outside;
  outside.thread().groups.push_back(std::exchange(outside.thread().begun, {}));
}

void copy_async_wait(int groups_left) {
  const uint32_t code = offset_of(__builtin_return_address(0));
  Outside outside;
  Thread& thread = outside.thread();
  while (static_cast<int>(thread.groups.size()) > groups_left) {
    for (const Copy& copy : thread.groups.front()) {
      end_copy(thread, copy.shared, static_cast<size_t>(copy.bytes), code);
      std::memset(copy.shared, 0, static_cast<size_t>(copy.bytes));
      if (copy.valid > 0) std::memcpy(copy.shared, copy.global, static_cast<size_t>(copy.valid));
    }
    thread.groups.erase(thread.groups.begin());
  }
}

void ldmatrix_x4(uint32_t (&out)[4], const void* row, bool is_transposed, Site site) {
  const uint32_t code = offset_of(__builtin_return_address(0));
  int own;
  {
    Outside outside;
    own = outside.thread().lane();
    require_aligned(outside.thread(), row, 16, "reads a row of a matrix", code);
    touch(outside.thread(), row, 16, Access::kRead, code);
  }
  const unsigned char* const all = exchange(0xffffffffu, row, 16, site);
  for (int matrix = 0; matrix < 4; ++matrix) {
    const auto element = [&](int r, int c) {
      uint16_t bits;
      std::memcpy(&bits, all + kMostLaneBytes * (8 * matrix + r) + 2 * c, sizeof bits);
      return uint32_t{bits};
    };
    const int outer = own / 4, inner = 2 * (own % 4);
    out[matrix] = is_transposed ? element(inner, outer) | element(inner + 1, outer) << 16
                                : element(outer, inner) | element(outer, inner + 1) << 16;
  }
}

// The GPU adds the products of a step in an order of its own, with few bits more than fp32: here in double, rounded once.
void mma_m16n8k16(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], Site site) {
  struct Fragments {
    uint32_t a[4], b[2];
  } own{{a[0], a[1], a[2], a[3]}, {b[0], b[1]}};
  const unsigned char* const all = exchange(0xffffffffu, &own, sizeof own, site);
  Fragments of[32];
  for (int l = 0; l < 32; ++l) std::memcpy(&of[l], all + kMostLaneBytes * l, sizeof of[l]);
  const int group = lane() / 4, member = lane() % 4;
  for (int i = 0; i < 4; ++i) {
    const int row = group + (i >= 2 ? 8 : 0), column = 2 * member + i % 2;
    double sum = c[i];
    for (int k = 0; k < 16; ++k) {
      const int a_lane = row % 8 * 4 + k % 8 / 2, b_lane = column * 4 + k % 8 / 2;
      const int a_word = (row >= 8 ? 1 : 0) + (k >= 8 ? 2 : 0), b_word = k >= 8 ? 1 : 0;
      sum += double{bf16_of(of[a_lane].a[a_word], k % 2)} * bf16_of(of[b_lane].b[b_word], k % 2);
    }
    c[i] = static_cast<float>(sum);
  }
}

}  // namespace cuda_on_cpu

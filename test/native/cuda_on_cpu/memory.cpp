#include "memory.h"

#include <string>

#include "regions.h"

namespace cuda_on_cpu {
namespace {

const char* verb(Access access) {
  return access == Access::kRead ? "reads" : access == Access::kWrite ? "writes" : "changes (atomic)";
}

struct Context {
  Thread& thread;
  Region& region;
  uintptr_t address;
  size_t bytes;
  Access access;
  uint32_t code;

  std::string what() const {
    return std::string(verb(access)) + " " + std::to_string(bytes) + " bytes at byte " +
           std::to_string(address - region.begin) + " of " + region.name;
  }
  [[noreturn]] void fail(Fault fault, std::string suffix = "") const {
    stop(thread, {.fault = fault, .what = what() + suffix, .thread = thread.number, .code = code});
  }
  [[noreturn]] void race(const Touch& other, const char* how) const {
    const bool is_one = (other.who & Touch::kSeveral) == 0;
    stop(thread, {.fault = Fault::kRace, .what = what(), .thread = thread.number, .code = code,
                  .how = how, .other_block = running.block, .other_thread = is_one ? int64_t{other.who} - 1 : -1,
                  .other_code = other.code});
  }
};

bool is_ordered(const Touch& touch, const Thread& thread) {
  if (touch.who == Touch::kNobody || touch.barriers < running.barriers) return true;
  const auto& order = running.warps[thread.warp()].order;
  if (touch.who & Touch::kSeveral) {
    return (touch.who & 0xffff) == static_cast<uint32_t>(thread.warp()) && order.are_all_before(touch.moment);
  }
  const int other = static_cast<int>(touch.who) - 1;
  return other / 32 == thread.warp() && order.is_before(thread.lane(), other % 32, touch.moment);
}

void remember(Touch& touch, const Thread& thread, uint32_t code, bool may_be_several) {
  const auto me = static_cast<uint32_t>(thread.number) + 1;
  const bool has_other = may_be_several && touch.who != Touch::kNobody && touch.who != me &&
                         touch.barriers == running.barriers && !is_ordered(touch, thread);
  uint32_t who = me;
  if (has_other) {
    const uint32_t warp = touch.who & Touch::kSeveral ? touch.who & 0xffff : (touch.who - 1) / 32;
    who = warp == static_cast<uint32_t>(thread.warp()) ? Touch::kSeveral | warp : Touch::kSeveralWarps;
  }
  touch = {who, running.barriers, running.warps[thread.warp()].order.now(thread.lane()), code};
}

// A cell that another block touched last becomes this block's.
void enter_block(Cell& cell, Space space) {
  if (space == Space::kGlobal && cell.launch_serial == running.launch_serial) {
    cell.was_read |= cell.read.who != Touch::kNobody;
    cell.was_written |= cell.write.who != Touch::kNobody;
    cell.was_atomic |= cell.atomic.who != Touch::kNobody;
    const Touch& last = cell.write.who ? cell.write : cell.atomic.who ? cell.atomic : cell.read;
    cell.other_code = last.code;
    cell.other_block = running.blocks[cell.block_serial - running.first_block_serial];
  } else {
    cell.was_read = cell.was_written = cell.was_atomic = false;
    cell.other_block = -1;
  }
  cell.launch_serial = running.launch_serial;
  cell.block_serial = running.block_serial;
  cell.read = cell.write = cell.atomic = {};
  cell.is_arriving = false;
}

void check(const Context& context, Cell& cell) {
  const Access access = context.access;
  if (cell.is_arriving) {
    stop(context.thread,
         {.fault = Fault::kAsyncCopy, .what = context.what(), .thread = context.thread.number, .code = context.code, .how = "copies there and has not waited for it", .other_block = running.block,
          .other_thread = int64_t{cell.write.who} - 1, .other_code = cell.write.code});
  }
  if (access != Access::kRead && !is_ordered(cell.read, context.thread)) context.race(cell.read, "read it");
  if (!is_ordered(cell.write, context.thread)) context.race(cell.write, "wrote it");
  if (access != Access::kAtomic && !is_ordered(cell.atomic, context.thread)) context.race(cell.atomic, "changed it (atomic)");
  const char* const elsewhere = cell.was_written                               ? "wrote it"
                                : cell.was_atomic && access != Access::kAtomic ? "changed it (atomic)"
                                : cell.was_read && access != Access::kRead     ? "read it"
                                                                               : nullptr;
  if (elsewhere != nullptr) {
    stop(context.thread, {.fault = Fault::kRace, .what = context.what(), .thread = context.thread.number,
                          .code = context.code, .how = elsewhere,
                          .other_block = cell.other_block, .other_code = cell.other_code});
  }
  if (context.region.space != Space::kGlobal && access != Access::kWrite && !cell.write.who && !cell.atomic.who) {
    context.fail(Fault::kUninitialised, ", which no thread of this block has written");
  }
}

template <typename Action>
void each_cell(Region& region, uintptr_t address, size_t bytes, Action action) {
  size_t offset = address - region.begin;
  while ((offset | bytes) & (region.unit - 1)) region.refine(region.unit / 2);
  for (const size_t end = offset + bytes; offset < end; offset += region.unit) {
    Cell& cell = region.cell(offset / region.unit);
    if (cell.block_serial != running.block_serial) enter_block(cell, region.space);
    action(cell);
  }
}

Region& require_region(Thread& thread, uintptr_t p, size_t bytes, Access access, uint32_t code) {
  Region* const region = find_region(p);
  if (region != nullptr && p + bytes <= region->end) {
    if (!region->is_used) {
      region->is_used = true;
      if (region->space == Space::kStaticShared) running.static_shared_used += (region->end - region->begin + 15) / 16 * 16;
    }
    return *region;
  }
  const std::string where = region == nullptr ? surroundings(p)
                                              : "from byte " + std::to_string(p - region->begin) + " of " + region->name +
                                                    ", which has " + std::to_string(region->end - region->begin);
  stop(thread, {.fault = Fault::kOutOfBounds,
                .what = std::string(verb(access)) + " " + std::to_string(bytes) + " bytes, " + where,
                .thread = thread.number, .code = code});
}

}  // namespace

void touch(Thread& thread, const void* address, size_t bytes, Access access, uint32_t code) {
  const auto p = reinterpret_cast<uintptr_t>(address);
  Region& region = require_region(thread, p, bytes, access, code);
  const Context context{thread, region, p, bytes, access, code};
  each_cell(region, p, bytes, [&](Cell& cell) {
    check(context, cell);
    if (access == Access::kRead) remember(cell.read, thread, code, true);
    if (access == Access::kWrite) remember(cell.write, thread, code, false);
    if (access == Access::kAtomic) remember(cell.atomic, thread, code, true);
  });
}

void begin_copy(Thread& thread, const void* address, size_t bytes, uint32_t code) {
  touch(thread, address, bytes, Access::kWrite, code);
  const auto p = reinterpret_cast<uintptr_t>(address);
  each_cell(*find_region(p), p, bytes, [](Cell& cell) { cell.is_arriving = true; });
}

void end_copy(Thread& thread, const void* address, size_t bytes, uint32_t code) {
  const auto p = reinterpret_cast<uintptr_t>(address);
  each_cell(*find_region(p), p, bytes, [](Cell& cell) { cell.is_arriving = false; });
  touch(thread, address, bytes, Access::kWrite, code);
}

}  // namespace cuda_on_cpu

// The devices' memory: addresses that fault when the host follows them, and the same bytes elsewhere for who is the device.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace pretend_cuda {

void* allocate(size_t bytes, int device);
void release(void* memory);

bool owns(const void* p);
// Where the device's own bytes can be read and written; other pointers stay.
void* host_alias(const void* p);
bool is_host_alias(const void* p);
int device_of(const void* p);  // -1: of none
const void* begin_of(const void* p);  // of the allocation; null: of none
// "byte 12 of an allocation of 40 bytes on cuda:0"
std::string describe(const void* p);

// A name for an address that does not depend on where memory happens to lie; see begin_step().
std::string name_of(const void* p);
int64_t next_serial();                       // of allocations
int64_t count_alive_since(int64_t serial);
void name_since(int64_t serial);             // those from here on are named as the step's own

}  // namespace pretend_cuda

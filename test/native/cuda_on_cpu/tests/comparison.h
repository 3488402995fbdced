// How far a kernel's numbers are from those of a scalar reference, in units of the dtype's last place.
#pragma once

#include <cstdlib>
#include <sstream>
#include <string>

#include "scalar.h"

namespace facellm {

// Numbers in the order of their values: neighbours differ by one.
template <typename T>
int64_t place_of(T x) {
  constexpr int kBits = is_bf16<T> ? 16 : 32;
  const int64_t all = bits(x), sign = int64_t{1} << (kBits - 1);
  return all < sign ? all : sign - all;
}

struct Comparison {
  int64_t elements = 0, different = 0, largest = 0;
  std::string first;  // of those that differ

  template <typename T, typename... Where>
  void add(T actual, T expected, Where... where) {
    ++elements;
    if (bits(actual) == bits(expected)) return;
    largest = std::max(largest, std::abs(place_of(actual) - place_of(expected)));
    if (different++ > 0) return;
    std::ostringstream text;
    text << (is_bf16<T> ? "bf16" : "fp32");
    ((text << " " << where), ...);
    text << ": " << wide(actual) << " for " << wide(expected);
    first = text.str();
  }
  void add(const Comparison& other) {
    elements += other.elements;
    if (different == 0) first = other.first;
    different += other.different;
    largest = std::max(largest, other.largest);
  }
};

}  // namespace facellm

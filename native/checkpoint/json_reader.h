// A strict pull reader of JSON text, as small as a safetensors header needs (RFC 8259): strings
// with escapes, unsigned integers, objects and arrays walked by the caller, anything else skipped.
// Made for untrusted bytes: it never reads outside its text and refuses deep nesting.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>

namespace facellm {

// A syntax error and the byte where it was found; json_header.cpp turns it into a problem text.
class JsonSyntaxError : public std::runtime_error {
 public:
  JsonSyntaxError(const std::string& what, size_t position)
      : std::runtime_error(what), position_(position) {}
  size_t position() const { return position_; }

 private:
  size_t position_;
};

class JsonReader {
 public:
  explicit JsonReader(std::string_view text) : text_(text) {}

  // First character of the next value after white space; '\0' at the end of the text.
  char peek();
  // Calls `member` with each key of an object; it must consume the value, and mind duplicates.
  void object(const std::function<void(std::string key)>& member);
  // Calls `item` for each element of an array; it must consume the value.
  void array(const std::function<void()>& item);
  // A string as UTF-8; rejects raw control characters, invalid UTF-8 and lone surrogates.
  std::string string();
  // True and `value` set for a plain unsigned integer that fits; any other number is consumed whole
  // and gives false, so that the caller may report it and go on.
  bool unsigned_integer(uint64_t& value);
  // Consumes one value of any kind.
  void skip();
  // Throws unless only white space is left.
  void finish();

  size_t position() const { return position_; }
  [[noreturn]] void fail(const std::string& what) const;

 private:
  static constexpr int kMaxDepth = 16;

  void skip_space();
  void expect(char wanted);
  void literal(std::string_view word);
  // Consumes a number of any form; gives its text.
  std::string_view number();
  uint32_t hex4();
  void escape(std::string& out);
  void utf8_sequence(std::string& out);

  std::string_view text_;
  size_t position_ = 0;
  int depth_ = 0;
};

}  // namespace facellm

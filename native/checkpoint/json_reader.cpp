#include "checkpoint/json_reader.h"

#include <charconv>

namespace facellm {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

void append_utf8(std::string& out, uint32_t code) {
  const auto put = [&](uint32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xC0 | code >> 6);
    put(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    put(0xE0 | code >> 12);
    put(0x80 | (code >> 6 & 0x3F));
    put(0x80 | (code & 0x3F));
  } else {
    put(0xF0 | code >> 18);
    put(0x80 | (code >> 12 & 0x3F));
    put(0x80 | (code >> 6 & 0x3F));
    put(0x80 | (code & 0x3F));
  }
}

}  // namespace

void JsonReader::fail(const std::string& what) const { throw JsonSyntaxError(what, position_); }

void JsonReader::skip_space() {
  while (position_ < text_.size()) {
    const char c = text_[position_];
    if (c != ' ' && c != '\n' && c != '\r' && c != '\t') return;
    ++position_;
  }
}

char JsonReader::peek() {
  skip_space();
  return position_ < text_.size() ? text_[position_] : '\0';
}

void JsonReader::expect(char wanted) {
  if (peek() != wanted || position_ >= text_.size()) {
    fail(std::string("expected '") + wanted + "'");
  }
  ++position_;
}

void JsonReader::object(const std::function<void(std::string key)>& member) {
  expect('{');
  if (++depth_ > kMaxDepth) fail("nested too deeply");
  if (peek() != '}') {
    for (;;) {
      std::string key = string();
      expect(':');
      member(std::move(key));
      if (peek() != ',') break;
      ++position_;
    }
  }
  expect('}');
  --depth_;
}

void JsonReader::array(const std::function<void()>& item) {
  expect('[');
  if (++depth_ > kMaxDepth) fail("nested too deeply");
  if (peek() != ']') {
    for (;;) {
      item();
      if (peek() != ',') break;
      ++position_;
    }
  }
  expect(']');
  --depth_;
}

std::string JsonReader::string() {
  expect('"');
  std::string out;
  for (;;) {
    if (position_ >= text_.size()) fail("unterminated string");
    const auto c = static_cast<unsigned char>(text_[position_]);
    if (c == '"') break;
    if (c < 0x20) fail("control character in a string");
    if (c == '\\') {
      escape(out);
    } else if (c < 0x80) {
      out.push_back(static_cast<char>(c));
      ++position_;
    } else {
      utf8_sequence(out);
    }
  }
  ++position_;
  return out;
}

// Well-formed sequences only (Unicode table 3-7): no overlong forms, surrogates or beyond U+10FFFF.
void JsonReader::utf8_sequence(std::string& out) {
  const auto byte = [&](size_t i) -> unsigned {
    return position_ + i < text_.size() ? static_cast<unsigned char>(text_[position_ + i]) : 0;
  };
  const unsigned lead = byte(0);
  const size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  unsigned low = 0x80, high = 0xBF;
  if (lead == 0xE0) low = 0xA0;
  if (lead == 0xED) high = 0x9F;
  if (lead == 0xF0) low = 0x90;
  if (lead == 0xF4) high = 0x8F;
  bool is_valid = lead >= 0xC2 && lead <= 0xF4 && byte(1) >= low && byte(1) <= high;
  for (size_t i = 2; i < length; ++i) is_valid = is_valid && byte(i) >= 0x80 && byte(i) <= 0xBF;
  if (!is_valid) fail("invalid UTF-8 in a string");
  out.append(text_.substr(position_, length));
  position_ += length;
}

void JsonReader::escape(std::string& out) {
  ++position_;
  if (position_ >= text_.size()) fail("unterminated string");
  switch (text_[position_++]) {
    case '"': out.push_back('"'); return;
    case '\\': out.push_back('\\'); return;
    case '/': out.push_back('/'); return;
    case 'b': out.push_back('\b'); return;
    case 'f': out.push_back('\f'); return;
    case 'n': out.push_back('\n'); return;
    case 'r': out.push_back('\r'); return;
    case 't': out.push_back('\t'); return;
    case 'u': break;
    default: --position_; fail("unknown escape in a string");
  }
  uint32_t code = hex4();
  if (code >= 0xDC00 && code <= 0xDFFF) fail("lone surrogate in a string");
  if (code >= 0xD800 && code <= 0xDBFF) {
    if (text_.substr(position_, 2) != "\\u") fail("lone surrogate in a string");
    position_ += 2;
    const uint32_t low = hex4();
    if (low < 0xDC00 || low > 0xDFFF) fail("lone surrogate in a string");
    code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
  }
  append_utf8(out, code);
}

uint32_t JsonReader::hex4() {
  const auto digits = text_.substr(position_, 4);
  uint32_t value = 0;
  const char* const last = digits.data() + digits.size();
  const auto [end, error] = std::from_chars(digits.data(), last, value, 16);
  if (error != std::errc() || digits.size() != 4 || end != last) {
    fail("expected four hexadecimal digits");
  }
  position_ += 4;
  return value;
}

std::string_view JsonReader::number() {
  peek();
  const size_t start = position_;
  const auto at = [&](char c) { return position_ < text_.size() && text_[position_] == c; };
  const auto digits = [&] {
    if (position_ >= text_.size() || !is_digit(text_[position_])) fail("expected a number");
    while (position_ < text_.size() && is_digit(text_[position_])) ++position_;
  };
  if (at('-')) ++position_;
  if (at('0')) {
    ++position_;  // no further digit may follow: the caller then fails at it
  } else {
    digits();
  }
  if (at('.')) {
    ++position_;
    digits();
  }
  if (at('e') || at('E')) {
    ++position_;
    if (at('+') || at('-')) ++position_;
    digits();
  }
  return text_.substr(start, position_ - start);
}

bool JsonReader::unsigned_integer(uint64_t& value) {
  const auto text = number();
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 10);
  return error == std::errc() && end == text.data() + text.size();
}

void JsonReader::literal(std::string_view word) {
  if (text_.substr(position_, word.size()) != word) fail("expected a value");
  position_ += word.size();
}

void JsonReader::skip() {
  switch (peek()) {
    case '{': object([this](const std::string&) { skip(); }); return;
    case '[': array([this] { skip(); }); return;
    case '"': string(); return;
    case 't': literal("true"); return;
    case 'f': literal("false"); return;
    case 'n': literal("null"); return;
    default: number();
  }
}

void JsonReader::finish() {
  peek();
  if (position_ != text_.size()) fail("unexpected text after the header's object");
}

}  // namespace facellm

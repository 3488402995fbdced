// Collects what is wrong with a checkpoint so that one error can list it all; a hostile file cannot
// make the list grow without bound.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace facellm {

// A name out of a file as it may appear in a message: control characters escaped, cut at about 200
// bytes on a character border. `name` must be valid UTF-8.
std::string printable(std::string_view name);

// "[2, 3]", of any list of sizes.
template <typename Sizes>
std::string shape_text(const Sizes& shape) {
  std::string text = "[";
  for (const auto size : shape) text += (text.size() > 1 ? ", " : "") + std::to_string(size);
  return text + "]";
}

class ProblemList {
 public:
  static constexpr size_t kMaxListed = 200;

  void add(std::string text) {
    if (++count_ <= kMaxListed) texts_.push_back(std::move(text));
  }
  bool empty() const { return count_ == 0; }
  size_t count() const { return count_; }

  // The texts, with a last line that counts what was left out.
  std::vector<std::string> take() {
    if (count_ > kMaxListed) {
      texts_.push_back("... and " + std::to_string(count_ - kMaxListed) + " more problems");
    }
    return std::move(texts_);
  }

 private:
  std::vector<std::string> texts_;
  size_t count_ = 0;
};

}  // namespace facellm

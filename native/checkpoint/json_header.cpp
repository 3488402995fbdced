#include "checkpoint/json_header.h"

#include <unordered_set>

#include "checkpoint/json_reader.h"

namespace facellm {
namespace {

constexpr size_t kMaxRank = 16;
// Bounds the memory that a hostile header of 100 MB can ask for; real files hold thousands.
constexpr size_t kMaxTensors = 1'000'000;

class HeaderParser {
 public:
  HeaderParser(std::string_view text, const std::string& file, ProblemList& problems)
      : reader_(text), file_(file), problems_(problems) {}

  std::vector<HeaderTensor> parse() {
    std::unordered_set<std::string> names;
    reader_.object([&](std::string name) {
      const bool is_new = names.insert(name).second;
      if (names.size() > kMaxTensors) reader_.fail("more than a million tensors");
      if (!is_new) problem(name, "appears twice in the header");
      if (name == "__metadata__") {
        metadata();
        return;
      }
      HeaderTensor tensor;
      tensor.name = std::move(name);
      if (read_tensor(tensor) && is_new) tensors_.push_back(std::move(tensor));
    });
    reader_.finish();
    return std::move(tensors_);
  }

  std::vector<HeaderTensor> take() { return std::move(tensors_); }

 private:
  void problem(const std::string& tensor, const std::string& text) {
    problems_.add(file_ + ": " + printable(tensor) + " " + text);
  }

  void metadata() {
    if (reader_.peek() != '{') {
      problem("__metadata__", "must be an object of strings");
      reader_.skip();
      return;
    }
    reader_.object([&](const std::string& key) {
      if (reader_.peek() != '"') problem("__metadata__", printable(key) + " must be a string");
      reader_.skip();
    });
  }

  // False if the record cannot be used; every reason has been reported.
  bool read_tensor(HeaderTensor& tensor) {
    if (reader_.peek() != '{') {
      problem(tensor.name, "must be an object with dtype, shape and data_offsets");
      reader_.skip();
      return false;
    }
    bool is_good = true;
    std::vector<uint64_t> offsets;
    std::unordered_set<std::string> keys;
    reader_.object([&](const std::string& key) {
      if (keys.size() >= 64) reader_.fail("too many keys in one tensor");
      if (!keys.insert(key).second) {
        problem(tensor.name, "holds " + printable(key) + " twice");
        is_good = false;
      }
      if (key == "dtype") {
        is_good &= read_dtype(tensor);
      } else if (key == "shape") {
        is_good &= read_integers(tensor.name, key, kMaxRank, tensor.shape);
      } else if (key == "data_offsets") {
        const bool is_list = read_integers(tensor.name, key, 2, offsets);
        if (is_list && offsets.size() != 2) problem(tensor.name, "needs two data_offsets");
        is_good &= is_list && offsets.size() == 2;
      } else {
        reader_.skip();
      }
    });
    for (const char* key : {"dtype", "shape", "data_offsets"}) {
      if (keys.contains(key)) continue;
      problem(tensor.name, std::string("has no ") + key);
      is_good = false;
    }
    if (!is_good) return false;
    tensor.begin = offsets[0];
    tensor.end = offsets[1];
    return true;
  }

  bool read_dtype(HeaderTensor& tensor) {
    if (reader_.peek() == '"') {
      tensor.dtype = reader_.string();
      return true;
    }
    problem(tensor.name, "has a dtype that is not a string");
    reader_.skip();
    return false;
  }

  bool read_integers(const std::string& name, const std::string& key, size_t max_count,
                     std::vector<uint64_t>& values) {
    values.clear();
    if (reader_.peek() != '[') {
      problem(name, "has a " + key + " that is not a list");
      reader_.skip();
      return false;
    }
    bool is_integers = true;
    size_t count = 0;
    reader_.array([&] {
      ++count;
      const char first = reader_.peek();
      uint64_t value = 0;
      if (first != '-' && (first < '0' || first > '9')) {
        reader_.skip();
        is_integers = false;
      } else if (!reader_.unsigned_integer(value)) {
        is_integers = false;
      }
      if (count <= max_count) values.push_back(value);
    });
    if (!is_integers) problem(name, "has a " + key + " that is not all unsigned 64-bit integers");
    if (count > max_count) {
      problem(name, "has a " + key + " of " + std::to_string(count) + " numbers, at most " +
                        std::to_string(max_count) + " are expected");
    }
    return is_integers && count <= max_count;
  }

  JsonReader reader_;
  const std::string& file_;
  ProblemList& problems_;
  std::vector<HeaderTensor> tensors_;
};

}  // namespace

std::vector<HeaderTensor> parse_json_header(std::string_view text, const std::string& file,
                                            ProblemList& problems) {
  HeaderParser parser(text, file, problems);
  try {
    return parser.parse();
  } catch (const JsonSyntaxError& error) {
    problems.add(file + ": the header is not valid JSON: " + error.what() + " at byte " +
                 std::to_string(error.position()) + " of it");
    return parser.take();
  }
}

}  // namespace facellm

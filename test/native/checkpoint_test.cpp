// native/checkpoint: good files in every dtype and form, each kind of damage, and thousands of
// random ones, which must either load whole or throw a typed error.
#include "checkpoint/checkpoint.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <random>

#include "checkpoint/json_reader.h"
#include "core/error.h"

namespace facellm {
namespace {

namespace fs = std::filesystem;
using WeightMap = std::vector<std::pair<std::string, int32_t>>;

std::string file_bytes(std::string header, const std::string& data) {
  const uint64_t length = header.size();
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &length, 8);
  return bytes + header + data;
}

std::string float_bytes(const std::vector<float>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)};
}

// a: F32 [2, 3] = 0..5; b: BF16 [2] = 1, -2; c: F16 [1, 1] = 0.5; d: F32 [0, 4]; e: F32 [] = 7.
std::string good_header() {
  return R"({"__metadata__":{"format":"pt"},)"
         R"("a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},)"
         R"("e":{"dtype":"F32","shape":[],"data_offsets":[24,28]},)"
         R"("d":{"dtype":"F32","shape":[0,4],"data_offsets":[28,28]},)"
         R"("b":{"dtype":"BF16","shape":[2],"data_offsets":[28,32]},)"
         R"("c":{"dtype":"F16","shape":[1,1],"data_offsets":[32,34]}})";
}

std::string good_data() {
  return float_bytes({0, 1, 2, 3, 4, 5, 7}) + std::string("\x80\x3f\x00\xc0\x00\x38", 6);
}

class CheckpointTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "facellm-checkpoint-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string write(const std::string& name, const std::string& bytes) {
    const auto path = folder_ / name;
    std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<long>(bytes.size()));
    return path.string();
  }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }

  // Opens expecting failure; the details joined by line feeds, after the code was compared.
  static std::string problems(const std::vector<std::string>& files, const WeightMap& map = {},
                              ErrorCode code = ErrorCode::kCheckpointInvalid) {
    try {
      Checkpoint::open(files, map);
    } catch (const Error& error) {
      EXPECT_EQ(error_code_name(error.code()), std::string(error_code_name(code)));
      EXPECT_FALSE(error.details().empty());
      std::string all;
      for (const auto& detail : error.details()) all += detail + "\n";
      return all;
    }
    ADD_FAILURE() << "opened without an error";
    return {};
  }

  std::string header_problems(const std::string& header, const std::string& data = "") {
    return problems({write("m.safetensors", file_bytes(header, data))});
  }

  fs::path folder_;
};

#define EXPECT_HAS(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)
#define EXPECT_LACKS(text, part) EXPECT_EQ((text).find(part), std::string::npos) << (text)

void expect_good(const Checkpoint& checkpoint) {
  ASSERT_EQ(checkpoint.entries().size(), 5u);
  EXPECT_TRUE(at::equal(checkpoint.view("a"), at::arange(6, at::kFloat).view({2, 3})));
  EXPECT_TRUE(at::equal(checkpoint.view("b").to(at::kFloat), at::tensor({1.0f, -2.0f})));
  EXPECT_EQ(checkpoint.view("b").scalar_type(), at::kBFloat16);
  EXPECT_EQ(checkpoint.view("c").scalar_type(), at::kHalf);
  EXPECT_EQ(checkpoint.view("c").item<float>(), 0.5f);
  EXPECT_EQ(checkpoint.view("d").sizes(), at::IntArrayRef({0, 4}));
  EXPECT_EQ(checkpoint.view("e").dim(), 0);
  EXPECT_EQ(checkpoint.view("e").item<float>(), 7.0f);
}

TEST_F(CheckpointTest, ReadsEveryDtypeAndShape) {
  const auto file = write("m.safetensors", file_bytes(good_header(), good_data()));
  expect_good(Checkpoint::open({file}, {}));
}

TEST_F(CheckpointTest, AnyDataStartWorksAlignedOrNot) {
  for (int padding = 0; padding < 8; ++padding) {
    const auto header = good_header() + std::string(padding, ' ');
    expect_good(Checkpoint::open({write("m.safetensors", file_bytes(header, good_data()))}, {}));
  }
}

TEST_F(CheckpointTest, TensorsOutliveCheckpointAndFile) {
  const auto file = write("m.safetensors", file_bytes(good_header(), good_data()));
  const auto tensor = Checkpoint::open({file}, {}).view("a");
  fs::remove(file);
  EXPECT_TRUE(at::equal(tensor, at::arange(6, at::kFloat).view({2, 3})));
}

// With a mapped file this would end the process.
TEST_F(CheckpointTest, AFileCutShortAfterOpeningIsATypedError) {
  const std::vector<float> values(1 << 16, 1.0f);
  const std::string header = R"({"x":{"dtype":"F32","shape":[65536],"data_offsets":[0,262144]}})";
  const auto file = write("m.safetensors", file_bytes(header, float_bytes(values)));
  const auto checkpoint = Checkpoint::open({file}, {});
  fs::resize_file(file, 1000);
  try {
    checkpoint.view("x");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kCheckpointInvalid);
    EXPECT_HAS(error.message(), "was cut short to 1000 bytes");
    EXPECT_HAS(error.message(), file);
  }
}

TEST_F(CheckpointTest, NamesMayHoldEscapesAndUnicode) {
  const std::string header =
      R"({"\u00e9\ud83d\ude00\/\"":{"dtype":"F32","shape":[1],"data_offsets":[0,4],)"
      R"("extra":[{"a":[1.5e3,null,true]}]}})";
  const auto file = write("m.safetensors", file_bytes(header, float_bytes({3})));
  const auto checkpoint = Checkpoint::open({file}, {});
  EXPECT_EQ(checkpoint.view("\xc3\xa9\xf0\x9f\x98\x80/\"").item<float>(), 3.0f);
}

TEST_F(CheckpointTest, ShardsWithAndWithoutIndex) {
  const auto one = write("one.safetensors",
                         file_bytes(R"({"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
                                    float_bytes({1})));
  const auto two = write("two.safetensors",
                         file_bytes(R"({"y":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
                                    float_bytes({2})));
  for (const WeightMap& map : {WeightMap{}, WeightMap{{"x", 0}, {"y", 1}}}) {
    const auto checkpoint = Checkpoint::open({one, two}, map);
    EXPECT_EQ(checkpoint.view("x").item<float>(), 1.0f);
    EXPECT_EQ(checkpoint.view("y").item<float>(), 2.0f);
    EXPECT_EQ(checkpoint.file_name(checkpoint.entries().find("y")->second.file), "two.safetensors");
  }
  const auto text = problems({one, two}, {{"x", 1}, {"z", 0}, {"z", 0}, {"w", 7}});
  EXPECT_HAS(text, "two.safetensors: x is missing; it lies in one.safetensors");
  EXPECT_HAS(text, "one.safetensors: z is missing, though the shard index places it there");
  EXPECT_HAS(text, "shard index: z appears twice");
  EXPECT_HAS(text, "shard index: w names a file that is not listed");
  EXPECT_HAS(text, "two.safetensors: y is not in the shard index");
  EXPECT_HAS(problems({one, one}), "one.safetensors: x is stored a second time");
}

TEST_F(CheckpointTest, ProblemsOfAllFilesComeTogether) {
  const auto good = write("good.safetensors", file_bytes(good_header(), good_data()));
  const auto empty = write("empty.safetensors", "");
  const auto cut = write("cut.safetensors", file_bytes(good_header(), good_data().substr(0, 12)));
  const auto text = problems({good, empty, cut, path("absent.safetensors"), folder_.string()});
  EXPECT_HAS(text, "empty.safetensors: is empty");
  EXPECT_HAS(text, "cut.safetensors: a has data_offsets [0, 24) beyond the 12 bytes");
  EXPECT_HAS(text, "cut.safetensors: c has data_offsets [32, 34) beyond");
  EXPECT_HAS(text, "absent.safetensors: cannot be read");
  EXPECT_HAS(text, "is a folder, expected a file");
}

TEST_F(CheckpointTest, AbsentFilesHaveTheirOwnCode) {
  const auto code = ErrorCode::kCheckpointNotFound;
  const auto text = problems({path("a.safetensors"), path("b.safetensors")}, {{"x", 0}}, code);
  EXPECT_HAS(text, "a.safetensors: cannot be read");
  EXPECT_HAS(text, "b.safetensors: cannot be read");
  problems({}, {}, code);
  problems({folder_.string()}, {}, code);
  ASSERT_EQ(::mkfifo(path("pipe").c_str(), 0600), 0);
  EXPECT_HAS(problems({path("pipe")}, {}, code), "pipe: is not a regular file");
}

TEST_F(CheckpointTest, DamagedStartOfFile) {
  const auto of = [&](const std::string& bytes) {
    return problems({write("m.safetensors", bytes)});
  };
  EXPECT_HAS(of("short"), "m.safetensors: has 5 bytes");
  EXPECT_HAS(of(std::string(8, '\xff')), "announces a header of 18446744073709551615 bytes");
  EXPECT_HAS(of(std::string("\x10\0\0\0\0\0\0\0{}", 10)),
             "announces a header of 16 bytes, but has 10");
  EXPECT_HAS(of(std::string(8, '\0')), "does not start with '{'");
  EXPECT_HAS(of("<!DOCTYPE html><html>not found</html>"), "announces a header");
  EXPECT_HAS(header_problems("[]"), "does not start with '{'");
}

TEST_F(CheckpointTest, MalformedJson) {
  for (const char* header :
       {"{", "{\"a\"", "{\"a\":", "{\"a\":{}", "{\"a\":{},}", "{} x", "{\"a\" {}}", "{'a':{}}",
        "{\"a\":{\"b\":01}}", "{\"a\":{\"b\":-}}", "{\"a\":{\"b\":1.}}", "{\"a\":{\"b\":1e}}",
        "{\"a\":{\"b\":tru}}", "{\"a\\x\":{}}", "{\"a\\ud800\":{}}", "{\"a\\udc00\":{}}",
        "{\"a\\ud800\\u0041\":{}}", "{\"a\\u12g4\":{}}", "{\"a\\u12", "{\"\xff\":{}}",
        "{\"\xc0\x80\":{}}", "{\"\xed\xa0\x80\":{}}", "{\"\xf4\x90\x80\x80\":{}}", "{\"\xe2\x82",
        "{\"a\nb\":{}}", "{\"a\\"}) {
    const auto text = header_problems(header);
    EXPECT_HAS(text, "the header is not valid JSON") << header;
  }
  std::string deep = "{\"a\":{\"b\":";
  deep += std::string(100000, '[') + std::string(100000, ']') + "}}";
  EXPECT_HAS(header_problems(deep), "nested too deeply");
}

TEST_F(CheckpointTest, EveryMalformedTensorIsListed) {
  const auto text = header_problems(
      R"({"__metadata__":{"format":1},"t0":5,"t1":{"shape":[1],"data_offsets":[0,4]},)"
      R"("t2":{"dtype":"F32","data_offsets":[0,4]},"t3":{"dtype":"F32","shape":[1]},)"
      R"("t4":{"dtype":1,"shape":[1],"data_offsets":[0,4]},)"
      R"("t5":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]},)"
      R"("t6":{"dtype":"F32","shape":[1.5],"data_offsets":[0,4]},)"
      R"("t7":{"dtype":"F32","shape":[18446744073709551616],"data_offsets":[0,4]},)"
      R"("t8":{"dtype":"F32","shape":["1"],"data_offsets":[0,4]},)"
      R"("t9":{"dtype":"F32","shape":{},"data_offsets":[0,4]},)"
      R"("u0":{"dtype":"F32","shape":[1],"data_offsets":[0,4,8]},)"
      R"("u1":{"dtype":"F32","shape":[1],"data_offsets":[0]},)"
      R"("u2":{"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1],"data_offsets":[0,4]},)"
      R"("u3":{"dtype":"F32","dtype":"F16","shape":[1],"data_offsets":[0,4]},)"
      R"("u4":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
      R"("u4":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
      float_bytes({1}));
  EXPECT_HAS(text, "__metadata__ format must be a string");
  EXPECT_HAS(text, "t0 must be an object");
  EXPECT_HAS(text, "t1 has no dtype");
  EXPECT_HAS(text, "t2 has no shape");
  EXPECT_HAS(text, "t3 has no data_offsets");
  EXPECT_HAS(text, "t4 has a dtype that is not a string");
  for (const char* name : {"t5", "t6", "t7", "t8"}) {
    EXPECT_HAS(text, std::string(name) + " has a shape that is not all unsigned");
  }
  EXPECT_HAS(text, "t9 has a shape that is not a list");
  EXPECT_HAS(text, "u0 has a data_offsets of 3 numbers");
  EXPECT_HAS(text, "u1 needs two data_offsets");
  EXPECT_HAS(text, "u2 has a shape of 17 numbers");
  EXPECT_HAS(text, "u3 holds dtype twice");
  EXPECT_HAS(text, "m.safetensors: u4 appears twice in the header");
}

TEST_F(CheckpointTest, SizesOffsetsAndDtypes) {
  const auto text = header_problems(
      R"({"i":{"dtype":"I64","shape":[1],"data_offsets":[0,8]},)"
      R"("f":{"dtype":"F64","shape":[1],"data_offsets":[8,16]},)"
      R"("s":{"dtype":"F32","shape":[3],"data_offsets":[16,24]},)"
      R"("o":{"dtype":"F32","shape":[1099511627776,1099511627776],"data_offsets":[0,4]},)"
      R"("z":{"dtype":"F32","shape":[0,1099511627776,1099511627776],"data_offsets":[0,0]},)"
      R"("r":{"dtype":"F32","shape":[1],"data_offsets":[4,0]},)"
      R"("m":{"dtype":"F32","shape":[1],)"
      R"("data_offsets":[18446744073709551612,18446744073709551615]}})",
      std::string(24, '\0'));
  EXPECT_HAS(text, "i has the unsupported dtype I64, expected BF16, F16 or F32");
  EXPECT_HAS(text, "f has the unsupported dtype F64");
  EXPECT_HAS(text, "s of shape [3] and dtype F32 needs 12 bytes, but its data_offsets [16, 24)");
  EXPECT_HAS(text, "o has a shape too large to address");
  EXPECT_HAS(text, "z has a shape too large to address");
  EXPECT_HAS(text, "r has data_offsets in the wrong order [4, 0)");
  EXPECT_HAS(text, "m has data_offsets [18446744073709551612, 18446744073709551615) beyond");
}

TEST_F(CheckpointTest, GapsAndOverlaps) {
  const auto text = header_problems(
      R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[4,12]},)"
      R"("b":{"dtype":"F32","shape":[2],"data_offsets":[8,16]},)"
      R"("c":{"dtype":"F32","shape":[1],"data_offsets":[20,24]}})",
      std::string(28, '\0'));
  EXPECT_HAS(text, "a leaves a gap before its data [0, 4)");
  EXPECT_HAS(text, "b overlaps a in the data [8, 12)");
  EXPECT_HAS(text, "c leaves a gap before its data [16, 20)");
  EXPECT_HAS(text, "m.safetensors: the last 4 bytes belong to no tensor");
  EXPECT_LACKS(text, "c overlaps");
  EXPECT_HAS(header_problems("{}", "x"), "the last 1 bytes belong to no tensor");
}

TEST_F(CheckpointTest, LongListsAreCutAndCounted) {
  std::string header = "{";
  for (int i = 0; i < 1000; ++i) header += (i ? ",\"n" : "\"n") + std::to_string(i) + "\":0";
  try {
    Checkpoint::open({write("m.safetensors", file_bytes(header + "}", ""))}, {});
    FAIL();
  } catch (const Error& error) {
    ASSERT_EQ(error.details().size(), 201u);
    EXPECT_EQ(error.details().back(), "... and 800 more problems");
    EXPECT_HAS(error.message(), "1000 problem(s)");
    EXPECT_HAS(error.message(), folder_.string());
  }
}

TEST_F(CheckpointTest, HostileNamesStayReadable) {
  const auto text = header_problems("{\"\\u0000\\n" + std::string(5000, 'x') + "\":0}");
  EXPECT_HAS(text, "\\x00\\x0axxx");
  EXPECT_LT(text.size(), 400u);
}

TEST_F(CheckpointTest, UnknownNamesAreTypedErrors) {
  const auto checkpoint =
      Checkpoint::open({write("m.safetensors", file_bytes(good_header(), good_data()))}, {});
  EXPECT_THROW(checkpoint.view("nope"), Error);
  EXPECT_THROW(checkpoint.file_name(1), Error);
  EXPECT_THROW(checkpoint.file_name(-1), Error);
}

// Reads every byte of every tensor.
void open_and_read(const std::vector<std::string>& files, int& opened) {
  std::optional<Checkpoint> checkpoint;
  try {
    checkpoint = Checkpoint::open(files, {});
  } catch (const Error& error) {
    ASSERT_FALSE(error.details().empty());
    return;
  }
  ++opened;
  uint64_t sum = 0;
  for (const auto& [name, entry] : checkpoint->entries()) {
    const auto view = checkpoint->view(name);
    ASSERT_EQ(view.nbytes(), entry.end - entry.begin);
    const auto* bytes = static_cast<const unsigned char*>(view.const_data_ptr());
    for (size_t i = 0; i < view.nbytes(); ++i) sum += bytes[i];
  }
  ASSERT_LT(sum, uint64_t{1} << 40);
}

TEST_F(CheckpointTest, RandomDamageNeverCrashes) {
  const std::string good = file_bytes(good_header(), good_data());
  std::mt19937 random(20240607);
  int opened = 0;
  for (int round = 0; round < 2000; ++round) {
    std::string bytes = good;
    if (round % 2 == 0) {
      bytes.resize(random() % good.size());
    } else {
      const int flips = 1 + static_cast<int>(random() % 4);
      for (int i = 0; i < flips; ++i) bytes[random() % bytes.size()] = static_cast<char>(random());
    }
    SCOPED_TRACE(round);
    open_and_read({write("m.safetensors", bytes)}, opened);
  }
  // Flips inside data or names leave a readable file; with none, the test would look at nothing.
  EXPECT_GT(opened, 20);
}

// Digit and punctuation swaps get further into the parser than arbitrary bytes do.
TEST_F(CheckpointTest, RandomHeaderEditsNeverCrash) {
  constexpr char kAlphabet[] = "0123456789[]{},:\"\\ -.eFB163u";
  std::mt19937 random(7);
  int opened = 0;
  for (int round = 0; round < 2000; ++round) {
    std::string header = good_header();
    const int edits = 1 + static_cast<int>(random() % 3);
    for (int i = 0; i < edits; ++i) {
      const size_t at = random() % header.size();
      const char c = kAlphabet[random() % (sizeof(kAlphabet) - 1)];
      switch (random() % 3) {
        case 0: header[at] = c; break;
        case 1: header.insert(at, 1, c); break;
        default: header.erase(at, 1);
      }
    }
    SCOPED_TRACE(header);
    open_and_read({write("m.safetensors", file_bytes(header, good_data()))}, opened);
  }
  EXPECT_GT(opened, 20);
}

TEST(JsonReaderTest, UnsignedIntegers) {
  const auto read = [](std::string_view text) -> std::optional<uint64_t> {
    JsonReader reader(text);
    uint64_t value = 0;
    const bool is_unsigned = reader.unsigned_integer(value);
    reader.finish();
    return is_unsigned ? std::optional(value) : std::nullopt;
  };
  EXPECT_EQ(read("0"), 0u);
  EXPECT_EQ(read(" 18446744073709551615 "), UINT64_MAX);
  for (const char* text : {"18446744073709551616", "-1", "1.0", "1e3", "-0"}) {
    EXPECT_EQ(read(text), std::nullopt) << text;
  }
  for (const char* text : {"", "00", "+1", "1 2", "0x1", "NaN"}) {
    EXPECT_THROW(read(text), JsonSyntaxError) << text;
  }
}

}  // namespace
}  // namespace facellm

#include "record.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <numeric>
#include <optional>
#include <sstream>

#include "device_memory.h"
#include "graph.h"
#include "pretend_cuda.h"

namespace pretend_cuda {
namespace {

// Never destroyed: threads may work until the end.
struct Books {
  std::mutex mutex;
  Counts counts;
  std::vector<std::string> complaints;
  int64_t operations = 0;
};
Books& books() {
  static Books& only = *new Books;
  return only;
}

thread_local int depth = 0;

struct RunningStep {
  Step step;
  int64_t first_serial;
};
thread_local std::optional<RunningStep> running_step;

template <typename Change>
void book(Change change) {
  if (is_inside()) return;
  const std::lock_guard lock(books().mutex);
  change(books().counts);
}

int64_t sum(const std::map<std::string, int64_t>& counts) {
  return std::accumulate(counts.begin(), counts.end(), int64_t{0}, [](int64_t n, const auto& entry) { return n + entry.second; });
}

// A run with a complaint is no success, whatever its tests say.
void report_at_exit() {
  const auto complaints = take_complaints();
  if (std::getenv("FACELLM_PRETEND_CUDA_REPORT") != nullptr) std::fputs(to_text(counts()).c_str(), stderr);
  if (complaints.empty()) return;
  std::map<std::string, int64_t> times;
  for (const auto& text : complaints) ++times[text];
  std::fprintf(stderr, "pretend_cuda: %zu complaint(s)\n", complaints.size());
  for (const auto& [text, count] : times) std::fprintf(stderr, "  %ld x %s\n", static_cast<long>(count), text.c_str());
  std::fflush(nullptr);
  _exit(86);
}
const int is_registered = std::atexit(&report_at_exit);

}  // namespace

int64_t Counts::total_operations() const { return sum(operations); }
int64_t Counts::total_waits() const { return sum(waits); }

Counts counts() {
  const std::lock_guard lock(books().mutex);
  return books().counts;
}

void reset_counts() {
  const std::lock_guard lock(books().mutex);
  books().counts = {};
}

std::string to_text(const Counts& c) {
  std::ostringstream text;
  text << "pretend_cuda: " << c.total_operations() << " operations (" << c.device_copies << " copies), uploads "
       << c.pinned_uploads << " pinned and " << c.pageable_uploads << " pageable, " << c.downloads << " downloads, "
       << c.total_waits() << " waits, " << c.allocations << " allocations\n";
  for (const auto& [name, count] : c.operations) text << "  " << count << " " << name << "\n";
  for (const auto& [reason, count] : c.waits) text << "  " << count << " waits: " << reason << "\n";
  return text.str();
}

void complain(const std::string& text) {
  const std::lock_guard lock(books().mutex);
  books().complaints.push_back(text);
}

std::vector<std::string> take_complaints() {
  const std::lock_guard lock(books().mutex);
  return std::exchange(books().complaints, {});
}

Inside::Inside() { ++depth; }
Inside::~Inside() { --depth; }
bool is_inside() { return depth > 0; }

void note_operation(const std::string& name) {
  book([&](Counts& c) {
    ++c.operations[name];
    ++books().operations;
  });
}

int64_t begun_operations() {
  const std::lock_guard lock(books().mutex);
  return books().operations;
}

void note_wait(const std::string& reason) {
  book([&](Counts& c) { ++c.waits[reason]; });
  break_rule("the host waits: " + reason);
  if (is_recording()) complain("the host waits while a graph is recorded: " + reason);
}

void note_allocation(size_t bytes) {
  // Of what is computed inside, too: its result is the device's.
  const std::lock_guard lock(books().mutex);
  ++books().counts.allocations;
  books().counts.allocated_bytes += static_cast<int64_t>(bytes);
  if (running_step) running_step->step.lines.push_back("allocate " + std::to_string(bytes));
}

void note_copy(Copy kind, const at::TensorBase& target, const at::TensorBase& source) {
  if (is_inside()) return;
  const auto bytes = static_cast<int64_t>(target.nbytes());
  book([&](Counts& c) {
    switch (kind) {
      case Copy::kPinnedUpload: ++c.pinned_uploads; break;
      case Copy::kPageableUpload: ++c.pageable_uploads; break;
      case Copy::kDownload: ++c.downloads; break;
      case Copy::kOnDevice: ++c.device_copies; ++c.operations["copy_"]; break;
    }
    if (kind == Copy::kDownload) c.downloaded_bytes += bytes;
    if (kind == Copy::kPinnedUpload || kind == Copy::kPageableUpload) c.uploaded_bytes += bytes;
  });
  if (is_recording() && kind != Copy::kOnDevice) complain("a copy between host and device is part of a graph: " + text_of(target));
  if (kind == Copy::kDownload) break_rule("a copy to the host: " + text_of(source));
  if (kind == Copy::kPageableUpload) break_rule("a copy from pageable memory: " + text_of(target));
  if (is_in_step()) add_line("copy " + text_of(target) + " from " + text_of(source));
}

bool is_in_step() { return running_step.has_value() && !is_inside(); }

void add_line(std::string line) {
  if (is_in_step()) running_step->step.lines.push_back(std::move(line));
}

void break_rule(std::string rule) {
  if (is_in_step()) running_step->step.broken.push_back(std::move(rule));
}

std::string text_of(const at::TensorBase& x) {
  if (!x.defined()) return "none";
  std::ostringstream text;
  text << c10::toString(x.scalar_type()) << x.sizes() << x.strides() << " at "
       << (x.numel() == 0 ? "nothing" : name_of(x.const_data_ptr()));
  return text.str();
}

void begin_step() {
  running_step = RunningStep{{}, next_serial()};
  name_since(running_step->first_serial);
}

Step end_step() {
  Step step = std::move(running_step->step);
  step.left_alive = count_alive_since(running_step->first_serial);
  running_step.reset();
  name_since(-1);
  return step;
}

std::string first_difference(const Step& a, const Step& b) {
  for (size_t i = 0; i < std::max(a.lines.size(), b.lines.size()); ++i) {
    const std::string own = i < a.lines.size() ? a.lines[i] : "(the end)", other = i < b.lines.size() ? b.lines[i] : "(the end)";
    if (own != other) return "line " + std::to_string(i) + ": " + own + "; then: " + other;
  }
  return "";
}

}  // namespace pretend_cuda

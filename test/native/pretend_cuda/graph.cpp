#include "graph.h"

#include <c10/util/Exception.h>

#include <vector>

#include "device_memory.h"
#include "device_state.h"
#include "record.h"

namespace pretend_cuda {
namespace {

thread_local Recording* under_way = nullptr;

}  // namespace

struct Recording::State {
  std::vector<std::function<void()>> nodes;
  std::vector<void*> memory;
};

Recording::Recording() : state_(std::make_unique<State>()) {}

Recording::~Recording() {
  if (under_way == this) under_way = nullptr;
  state_->nodes.clear();
  for (void* const p : state_->memory) release(p);
}

void Recording::begin() {
  TORCH_CHECK(current_stream(current_device()).id() != 0, "CUDA graphs must be captured on a non-default stream.");
  TORCH_CHECK(under_way == nullptr && state_->nodes.empty(), "CUDA error: operation not permitted when stream is capturing");
  under_way = this;
}

void Recording::end() {
  TORCH_CHECK(under_way == this, "CUDA error: operation failed due to a previous error during capture");
  under_way = nullptr;
}

void Recording::replay() const {
  note_operation("graph");
  if (is_in_step()) add_line("graph of " + std::to_string(state_->nodes.size()) + " nodes");
  const Inside inside;
  for (const auto& node : state_->nodes) node();
}

size_t Recording::nodes() const { return state_->nodes.size(); }

bool is_recording() { return under_way != nullptr; }

void record_node(std::function<void()> again) {
  if (is_recording()) under_way->state_->nodes.push_back(std::move(again));
}

bool keep_for_recording(void* memory) {
  if (under_way == nullptr || memory == nullptr) return false;
  under_way->state_->memory.push_back(memory);
  return true;
}

}  // namespace pretend_cuda

// Graphs: what a thread records is done again by a call, on the same tensors and addresses. As on a GPU no kernel of ours runs
// while it is recorded, and memory that is allocated then stays the graph's. Operators do run, on whatever is there: their results
// have to be allocated; what was there before must not be written by one.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

namespace pretend_cuda {

class Recording {
 public:
  Recording();
  ~Recording();
  void begin();  // of this thread
  void end();
  void replay() const;
  size_t nodes() const;

 private:
  friend void record_node(std::function<void()> again);
  friend bool keep_for_recording(void* memory);
  struct State;
  std::unique_ptr<State> state_;
};

bool is_recording();
// Part of the recording under way, if there is one. What runs inside of an operation is part of that.
void record_node(std::function<void()> again);
// True: the memory is the recording's, who frees it.
bool keep_for_recording(void* memory);

}  // namespace pretend_cuda

// Graphs of work that recurs, by what the work follows from: recorded when it has come often enough, since much comes but once, and
// given up where memory does not allow it: a graph costs nobody an answer.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <limits>
#include <map>
#include <memory>
#include <utility>

#include "core/device_graph.h"

namespace facellm {

// Io: the tensors that the work reads and writes, at addresses that its graph knows.
template <typename Key, typename Io>
class GraphCache {
 public:
  struct Recorded {
    Io io;
    std::unique_ptr<DeviceGraph> graph;
    uint64_t last_use = 0;
  };

  // runs_before: of a key, without a graph, before the one that is to be recorded; at least one, since libraries set themselves
  // up at their first call, which no recording bears. most: graphs that are kept, those used last. beside: a cache whose graphs
  // never run at once with these, so that they share memory; or null.
  GraphCache(int runs_before, size_t most, const GraphCache* beside = nullptr)
      : runs_before_(runs_before), most_(most), beside_(beside) {}

  // To be used now; null where `key` has none.
  Recorded* find(const Key& key) {
    const auto found = graphs_.find(key);
    if (found == graphs_.end()) return nullptr;
    found->second.last_use = ++uses_;
    return &found->second;
  }

  // Counts a run of `key`, which has no graph; whether it is the one to be recorded. go_without() adds keys beside those counted here.
  bool is_due(const Key& key) {
    if (runs_.size() >= kMostCounted && !runs_.contains(key)) runs_.clear();
    int& runs = runs_[key];
    return runs != kNever && runs++ >= runs_before_;
  }

  // Records work(io) on the current stream, io being what `make` returns; nothing of the work runs. Null where either throws: for
  // want of memory, and where more is lost, the work without a graph says so. The key goes without from then on.
  template <typename Make, typename Work>
  Recorded* record(const Key& key, const Make& make, const Work& work) {
    try {
      Recorded own{make(), nullptr, ++uses_};
      own.graph = std::make_unique<DeviceGraph>([&] { work(own.io); }, shared());
      if (graphs_.size() == most_) {
        graphs_.erase(std::ranges::min_element(graphs_, {}, [](const auto& entry) { return entry.second.last_use; }));
      }
      runs_.erase(key);
      return &graphs_.insert_or_assign(key, std::move(own)).first->second;
    } catch (const std::exception&) {
      go_without(key);
      return nullptr;
    }
  }

  void go_without(const Key& key) {
    graphs_.erase(key);
    runs_[key] = kNever;
  }

  // Gives back the graphs' memory.
  void clear() {
    graphs_.clear();
    runs_.clear();
  }

 private:
  static constexpr size_t kMostCounted = 1024;
  static constexpr int kNever = std::numeric_limits<int>::min();

  const DeviceGraph* shared() const {
    for (const auto* cache : {this, beside_}) {
      if (cache != nullptr && !cache->graphs_.empty()) return cache->graphs_.begin()->second.graph.get();
    }
    return nullptr;
  }

  int runs_before_;
  size_t most_;
  const GraphCache* beside_;
  std::map<Key, Recorded> graphs_;
  std::map<Key, int> runs_;  // of keys without one
  uint64_t uses_ = 0;
};

}  // namespace facellm

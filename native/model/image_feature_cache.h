// Projected vectors of pictures already seen, least recently used out first. An image is encoded
// once however many questions are asked about it.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <list>
#include <string>
#include <unordered_map>

namespace facellm {

class ImageFeatureCache {
 public:
  explicit ImageFeatureCache(int64_t capacity_bytes) : capacity_bytes_(capacity_bytes) {}

  // [tokens, D] or an undefined tensor. A hit becomes the most recent entry.
  at::Tensor find(const std::string& identity);
  void insert(const std::string& identity, const at::Tensor& features);
  void clear();
  int64_t size() const { return static_cast<int64_t>(entries_.size()); }

 private:
  struct Entry {
    std::string identity;
    at::Tensor features;
  };
  int64_t capacity_bytes_;
  int64_t bytes_ = 0;
  std::list<Entry> entries_;  // most recent first
  std::unordered_map<std::string, std::list<Entry>::iterator> index_;
};

}  // namespace facellm

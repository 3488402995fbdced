#include "model/image_feature_cache.h"

namespace facellm {

at::Tensor ImageFeatureCache::find(const std::string& identity) {
  const auto found = index_.find(identity);
  if (found == index_.end()) return {};
  entries_.splice(entries_.begin(), entries_, found->second);
  return found->second->features;
}

void ImageFeatureCache::insert(const std::string& identity, const at::Tensor& features) {
  const auto size = static_cast<int64_t>(features.nbytes());
  if (size > capacity_bytes_ || index_.contains(identity)) return;
  entries_.push_front({identity, features});
  index_[identity] = entries_.begin();
  bytes_ += size;
  while (bytes_ > capacity_bytes_) {
    bytes_ -= static_cast<int64_t>(entries_.back().features.nbytes());
    index_.erase(entries_.back().identity);
    entries_.pop_back();
  }
}

void ImageFeatureCache::clear() {
  entries_.clear();
  index_.clear();
  bytes_ = 0;
}

}  // namespace facellm

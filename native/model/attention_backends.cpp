#include "model/attention_backends.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include "core/device.h"

namespace facellm {
namespace {

struct Call {
  const char* name;
  int64_t heads, kv_heads, queries, keys;
  bool is_masked, is_causal;
};

// As layers/attention.cpp puts them: one query's heads of a group are the rows of one attention.
constexpr Call kCalls[]{
    {"a picture", 16, 16, 1025, 1025, false, false},
    {"a prompt", 14, 2, 316, 316, false, true},
    {"a prompt behind a known prefix", 14, 2, 60, 316, true, false},
    {"a token", 2, 2, 7, 512, false, false},
    {"a token of unequal rows", 2, 2, 7, 512, true, false},
};

// at::SDPBackend, whose header differs between versions.
const char* name_of(int64_t choice) {
  switch (choice) {
    case 0: return "composed";
    case 1: return "flash";
    case 2: return "memory-efficient";
    case 3: return "cuDNN";
    default: return "unknown";
  }
}

}  // namespace

std::vector<AttentionBackend> attention_backends(const std::string& device) {
  const c10::NoGradGuard no_grad;
  const auto options = at::TensorOptions(at::kBFloat16).device(parse_device(device));
  std::vector<AttentionBackend> result;
  for (const auto& call : kCalls) {
    const auto q = at::empty({1, call.heads, call.queries, 64}, options);
    const auto k = at::empty({1, call.kv_heads, call.keys, 64}, options);
    const auto mask = call.is_masked
                          ? std::make_optional(at::empty({1, 1, call.queries, call.keys}, options.dtype(at::kBool)))
                          : std::nullopt;
    const int64_t choice = at::_fused_sdp_choice(q, k, k, mask, 0.0, call.is_causal, std::nullopt,
                                                 call.heads != call.kv_heads);
    result.push_back({call.name, name_of(choice)});
  }
  return result;
}

}  // namespace facellm

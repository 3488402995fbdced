// A bug in a copy of a real kernel, and what runs it: the comparisons that the real kernels are tested by.
#pragma once

#include <ostream>
#include <vector>

#include "cuda_on_cpu.h"
#include "tests/add_rms_norm_check.h"
#include "tests/backward_check.h"
#include "tests/choose_tokens_check.h"
#include "tests/cross_entropy_check.h"
#include "tests/embed_patches_check.h"
#include "tests/few_rows_check.h"
#include "tests/low_rank_check.h"
#include "tests/paged_decode_attention_check.h"
#include "tests/patchify_check.h"
#include "tests/quantised_check.h"
#include "tests/rope_kv_append_check.h"
#include "tests/swiglu_check.h"

namespace cuda_on_cpu {

// A copy of a kernel has types of its own; their memory is the same.
template <typename Work>
void launch_planted(void (*launcher)(const Work&, bool, cudaStream_t), const facellm::ChooseTokens& work, bool is_bf16,
                    cudaStream_t stream) {
  static_assert(sizeof(Work) == sizeof work);
  launcher(reinterpret_cast<const Work&>(work), is_bf16, stream);
}

struct PlantedBug {
  const char* name;
  facellm::Comparison (*run)();
  std::vector<Fault> faults;  // none: the numbers differ
  const char* says;           // part of the report
  const char* at;             // the file in which its line is
  bool is_harmless;           // no bug: nothing is told, and the numbers are right
};
const std::vector<PlantedBug>& planted_bugs();
inline void PrintTo(const PlantedBug& bug, std::ostream* out) { *out << bug.name; }

template <typename Launcher>
facellm::Comparison exercise_swiglu(Launcher launcher) { return facellm::check_swiglu_shapes(launcher); }
template <typename Launcher>
facellm::Comparison exercise_odd_rows(Launcher launcher) { return facellm::check_swiglu<float>(launcher, 3, 123); }
template <typename Launcher>
facellm::Comparison exercise_some_rows(Launcher launcher) { return facellm::check_swiglu<float>(launcher, 300, 1); }
template <typename Launcher>
facellm::Comparison exercise_many_rows(Launcher launcher) { return facellm::check_swiglu<float>(launcher, 65536, 1); }
template <typename Launcher>
facellm::Comparison exercise_norm(Launcher launcher) { return facellm::check_add_rms_norm_shapes(launcher); }
template <typename Launcher>
facellm::Comparison exercise_longest_norm(Launcher launcher, int64_t size) {
  return facellm::check_add_rms_norm<float>(launcher, 1, size, true);
}
template <typename Launcher>
facellm::Comparison exercise_rope(Launcher launcher) { return facellm::check_rope_kv_append_shapes(launcher); }
template <typename Launcher>
facellm::Comparison exercise_swiglu_backward(Launcher launcher) { return facellm::check_swiglu_backward_shapes(launcher); }
template <typename Launcher>
facellm::Comparison exercise_norm_backward(Launcher launcher) { return facellm::check_add_rms_norm_backward_shapes(launcher); }
template <typename Launcher>
facellm::Comparison exercise_rope_backward(Launcher launcher) { return facellm::check_rope_backward_shapes(launcher); }
template <typename Launcher>
facellm::Comparison exercise_cross_entropy(Launcher launcher) { return facellm::check_cross_entropy_shapes(launcher); }
template <typename Launcher>
facellm::Comparison exercise_choose(Launcher launcher) {
  return facellm::check_choose_tokens<__nv_bfloat16>(
      [&](const facellm::ChooseTokens& work, bool is_bf16, cudaStream_t stream) { launch_planted(launcher, work, is_bf16, stream); },
      2079, facellm::choice_cases(), 3);
}
template <typename Launcher>
facellm::Comparison exercise_decode(Launcher launcher) {
  return facellm::check_paged_decode<float>(facellm::of_dtype<float>(launcher), {4, 2, 16, 8, 2}, {1, 500, 0, 700});
}
template <typename Launcher>
facellm::Comparison exercise_groups(Launcher launcher) { return facellm::check_paged_decode_groups(launcher); }
template <typename Launcher>
facellm::Comparison exercise_few_rows(Launcher launcher) { return facellm::check_few_rows_shapes(launcher); }
template <typename Launcher>
facellm::Comparison exercise_quantised(Launcher launcher) { return facellm::check_quantised_product_shapes(+launcher, false); }
template <typename Launcher>
facellm::Comparison exercise_dequantise(Launcher launcher) { return facellm::check_dequantise_shapes(+launcher); }
template <typename Launcher>
facellm::Comparison exercise_patchify(Launcher launcher) { return facellm::check_patchify_shapes(launcher); }
template <typename Launcher>
facellm::Comparison exercise_embed_patches(Launcher launcher) { return facellm::check_embed_patches_shapes(launcher); }
template <typename Launcher>
facellm::Comparison exercise_low_rank(Launcher launcher) { return facellm::check_low_rank_cases(launcher); }

}  // namespace cuda_on_cpu

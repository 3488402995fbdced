#include "layers/normed_linear.h"

#include "kernels/add_rms_norm/add_rms_norm.h"
#include "kernels/rope_kv_append/rope_kv_append.h"

namespace facellm {
namespace {

bool is_plain(const Linear& linear) { return !linear.extension && !linear.packed && !linear.frozen; }

}  // namespace

FewRowsOutput norm_heads(const FewRowsInput& input, const Linear& qkv, const FewRowsHeads& heads) {
  if (is_plain(qkv) && takes_few_rows_heads(input, qkv.weight, qkv.bias, heads)) {
    return few_rows_norm_heads(input, qkv.weight, qkv.bias, heads);
  }
  const auto before = add_rms_norm(input.residual, input.delta, input.weight, input.eps);
  return {rope_kv_append(qkv(before.normalised), heads.cos, heads.sin, heads.keys, heads.values, heads.slots, heads.num_heads,
                         heads.num_kv_heads),
          before.residual};
}

FewRowsOutput norm_gated(const FewRowsInput& input, const Linear& gate_up) {
  if (is_plain(gate_up) && !gate_up.bias.defined() && takes_few_rows_norm(input, gate_up.weight)) {
    return few_rows_norm_swiglu(input, gate_up.weight);
  }
  const auto before = add_rms_norm(input.residual, input.delta, input.weight, input.eps);
  return {gate_up.gated(before.normalised), before.residual};
}

}  // namespace facellm

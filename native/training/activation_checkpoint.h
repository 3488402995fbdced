// Runs a layer without keeping its inner activations; they are computed again in the backward pass
// (arXiv 1604.06174, as torch.utils.checkpoint's reentrant form).
#pragma once

#include <ATen/ATen.h>

#include <functional>

namespace facellm {

// `anchor`: any tensor that requires a gradient, so that the layer takes part in the backward pass even
// where `input` does not. The layer's own parameters receive their gradients in .grad.
at::Tensor checkpointed(const std::function<at::Tensor(const at::Tensor&)>& layer,
                        const at::Tensor& input, const at::Tensor& anchor);

}  // namespace facellm

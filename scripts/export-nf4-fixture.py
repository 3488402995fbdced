"""A weight as bitsandbytes makes nf4 of it, with and without double quantisation: test/fixtures/quantised/nf4.safetensors, which our
codes, magnitudes and values are held to bit for bit. Needs torch and bitsandbytes (made with 0.50.1, its operations in plain torch on a
CPU); run from the root of the repository."""
import pathlib

import bitsandbytes.functional as bnb
import torch
from bitsandbytes.functional import create_dynamic_map
from safetensors.torch import save_file

torch.set_num_threads(1)
generator = torch.Generator().manual_seed(5)
# 350 groups: more than the 256 that share a nested scale. Rows of different size, a group of zeros, values on midpoints.
weight = torch.randn(70, 320, generator=generator) * torch.logspace(-3, 1, 70).unsqueeze(1)
weight[3, 64:128] = 0
code = bnb.get_4bit_type("nf4", device="cpu")
weight[7, :15] = (code[:-1] + code[1:]) / 2
weight[7, 15:64] = 0
weight[7, 63] = 1
weight = weight.to(torch.bfloat16)
tensors = {"weight": weight, "exact": torch.zeros(2, 64), "dynamic_map": create_dynamic_map()}
tensors["exact"][0, :15] = (code[:-1] + code[1:]) / 2
tensors["exact"][0, 63] = 1
tensors["exact"][1, :16] = code * 3
for name, source, is_double in [("single", weight, False), ("double", weight, True), ("ties", tensors["exact"], False)]:
    codes, state = bnb.quantize_4bit(source, quant_type="nf4", compress_statistics=is_double)
    tensors[f"{name}.codes"] = codes.flatten().clone()
    magnitudes = state.absmax
    if is_double:
        tensors[f"{name}.nested_codes"] = state.absmax.clone()
        magnitudes = bnb.dequantize_blockwise(state.absmax, state.state2) + state.offset
    tensors[f"{name}.magnitudes"] = magnitudes.float().clone()
    state.dtype = torch.float32 if is_double else torch.bfloat16
    tensors[f"{name}.values"] = bnb.dequantize_4bit(codes, state).clone()
target = pathlib.Path("test/fixtures/quantised/nf4.safetensors")
save_file({name: value.contiguous() for name, value in tensors.items()}, target)
target.chmod(0o644)

"""Which attention kernel libtorch takes for each kind of call that the product makes (native/layers/attention.cpp): python3
attention.py DEVICE. One JSON object a line: the case, libtorch's choice, the kernels that ran, milliseconds, and FLOP a second."""

import json
import sys
import time

import torch
from torch.nn.functional import scaled_dot_product_attention as attend

DEVICE = sys.argv[1]
IS_GPU = DEVICE.startswith("cuda")
BACKENDS = {-1: "none", 0: "composed", 1: "flash", 2: "memory-efficient", 3: "cuDNN", 4: "overrideable"}
torch.set_grad_enabled(False)
S = 1 if IS_GPU else 8  # divides lengths where there is no GPU

#        name, batch, query heads, key heads, queries, keys, width, mask, causal
CASES = [
    ("ViT, 1 tile", 1, 16, 16, 1025 // S, 1025 // S, 64, None, False),
    ("ViT, 13 tiles", 13 // S + 1, 16, 16, 1025 // S, 1025 // S, 64, None, False),
    ("ViT-6B, 1 tile", 1, 25, 25, 1025 // S, 1025 // S, 128, None, False),
    ("prefill 1B", 1, 14, 2, 316, 316, 64, None, True),
    ("prefill 8B, 13 tiles", 1, 28, 4, 3388 // S, 3388 // S, 128, None, True),
    ("prefill behind a prefix, 1B", 1, 14, 2, 60, 316, 64, "rows", False),
    ("prefill behind a prefix, 8B", 1, 28, 4, 60, 316, 128, "rows", False),
    ("decode 1B, 1 row", 1, 2, 2, 7, 512, 64, None, False),
    ("decode 1B, 64 rows", 64, 2, 2, 7, 512, 64, None, False),
    ("decode 1B, 64 unequal rows", 64, 2, 2, 7, 512, 64, "keys", False),
    ("decode 8B, 1 row", 1, 4, 4, 7, 512, 128, None, False),
    ("decode 8B, 64 unequal rows", 64, 4, 4, 7, 512, 128, "keys", False),
]


def kernels(work):
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CUDA]) as run:
        work()
        torch.cuda.synchronize()
    return [e.key for e in run.key_averages() if e.device_type == torch.autograd.DeviceType.CUDA]


def seconds(work, repeats=20):
    if not IS_GPU:
        start = time.perf_counter()
        work()
        return time.perf_counter() - start
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begin.record()
    for _ in range(repeats):
        work()
    end.record()
    end.synchronize()
    return begin.elapsed_time(end) / 1000 / repeats


for name, b, h, k, t, s, e, mask, causal in CASES:
    for dtype in (torch.bfloat16, torch.float32):
        for gradients in (False, True):
            # Training has no cache, so neither a mask nor one query.
            if gradients and (mask is not None or name.startswith("decode") or "tile" in name):
                continue
            torch.set_grad_enabled(gradients)
            q, keys, values = (torch.randn(b, n, m, e, dtype=dtype, device=DEVICE, requires_grad=gradients)
                               for n, m in ((h, t), (k, s), (k, s)))
            bias = None
            if mask == "rows":
                bias = torch.ones(t, s, dtype=torch.bool, device=DEVICE).tril(s - t)[None, None]
            elif mask == "keys":
                bias = (torch.arange(s, device=DEVICE)[None] < torch.arange(b, device=DEVICE)[:, None] + s - b)[:, None, None]
            options = dict(attn_mask=bias, is_causal=causal, enable_gqa=h != k)
            row = {"case": name, "dtype": str(dtype)[6:], "gradients": gradients}
            try:
                row["choice"] = BACKENDS[torch._fused_sdp_choice(q, keys, values, bias, 0.0, causal, enable_gqa=h != k)]
                attend(q, keys, values, **options)
                if IS_GPU:
                    row["kernels"] = kernels(lambda: attend(q, keys, values, **options))
                took = seconds(lambda: attend(q, keys, values, **options))
                row["ms"], row["flopPerSecond"] = took * 1000, 4 * b * h * t * s * e / (2 if causal else 1) / took
            except Exception as error:  # one case tells nothing about the next
                row["error"] = str(error).splitlines()[0]
            print(json.dumps(row), flush=True)

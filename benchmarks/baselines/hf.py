"""Baseline of the benchmarks: the same work by transformers on the same checkpoint, in a process that
stays, so that its runs alternate with ours. One JSON request a line in, milliseconds a line out."""

import json
import os
import sys
import time

os.environ["HF_HUB_OFFLINE"] = "1"
import torch

# A torchvision built for another torch cannot declare its operators, and its import insists on two.
# Where it can, this library is a second declaration and torchvision's own fails: then leave it out.
if "+cpu" in torch.__version__:
    _operators = torch.library.Library("torchvision", "DEF")
    for _name in ("nms", "qnms"):
        _operators.define(_name + "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
from transformers import InternVLForConditionalGeneration

CHECKPOINT, DTYPE, THREADS = sys.argv[1], sys.argv[2], int(sys.argv[3])
torch.set_num_threads(THREADS)
torch.set_grad_enabled(False)


def load():
    dtype = {"bf16": torch.bfloat16, "fp32": torch.float32}[DTYPE]
    return InternVLForConditionalGeneration.from_pretrained(CHECKPOINT, dtype=dtype).eval()


def first_use(model):
    """Reads every weight once: from_pretrained maps the file and reads nothing. As int64, which sum() adds up
    where it lies; narrower integers it first copies to int64, and that takes longer than the reading."""
    for p in model.parameters():
        data = p.reshape(-1).view(torch.uint8)
        data[: data.numel() // 8 * 8].view(torch.int64).sum()


def run(model, request):
    kind = request["kind"]
    start = time.perf_counter()
    if kind == "load":
        first_use(load())
    elif kind == "vision":
        size = model.config.vision_config.image_size[0]
        pixels = torch.randn(request["tiles"], 3, size, size).to(model.dtype)
        start = time.perf_counter()
        model.model.get_image_features(pixels)
    elif kind == "prefill":
        ids = torch.randint(100, 1000, (1, request["tokens"]))
        start = time.perf_counter()
        model(input_ids=ids, logits_to_keep=1)
    elif kind == "decode":
        ids = torch.randint(100, 1000, (request["rows"], request["context"]))
        out = model(input_ids=ids, logits_to_keep=1, use_cache=True)
        cache, token = out.past_key_values, out.logits[:, -1].float().argmax(-1, keepdim=True)
        start = time.perf_counter()
        for _ in range(request["steps"]):
            out = model(input_ids=token, past_key_values=cache, use_cache=True)
            token = out.logits[:, -1].float().argmax(-1, keepdim=True)
    return (time.perf_counter() - start) * 1000


model = load()
print(json.dumps({"torch": torch.__version__, "ready": True}), flush=True)
for line in sys.stdin:
    print(json.dumps({"ms": run(model, json.loads(line))}), flush=True)

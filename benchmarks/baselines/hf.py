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

CHECKPOINT, DTYPE, THREADS, DEVICE = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
torch.set_num_threads(THREADS)
torch.set_grad_enabled(False)


def load():
    dtype = {"bf16": torch.bfloat16, "fp32": torch.float32}[DTYPE]
    return InternVLForConditionalGeneration.from_pretrained(CHECKPOINT, dtype=dtype).eval().to(DEVICE)


def first_use(model):
    """Reads every weight once: from_pretrained maps the file and reads nothing. As int64, which sum() adds up
    where it lies; narrower integers it first copies to int64, and that takes longer than the reading."""
    for p in model.parameters():
        data = p.reshape(-1).view(torch.uint8)
        data[: data.numel() // 8 * 8].view(torch.int64).sum()


def now():
    """The clock, once the device has done what it was given."""
    if DEVICE.startswith("cuda"):
        torch.cuda.synchronize()
    return time.perf_counter()


def pictures(tiles):
    size = model.config.vision_config.image_size[0]
    return torch.randn(tiles, 3, size, size).to(DEVICE, model.dtype)


def run(model, request):
    kind = request["kind"]
    start = now()
    if kind == "load":
        first_use(load())
    elif kind == "vision":
        pixels = pictures(request["tiles"])
        start = now()
        model.model.get_image_features(pixels)
    elif kind == "first-token":  # of a picture that is decoded, cut and normalised already
        ids = torch.randint(100, 1000, (1, request["tokens"]))
        ids[:, : request["tiles"] * model.config.image_seq_length] = model.config.image_token_id
        pixels = pictures(request["tiles"])
        start = now()
        model(input_ids=ids.to(DEVICE), pixel_values=pixels, logits_to_keep=1).logits.argmax(-1).item()
    elif kind == "prefill":
        ids = torch.randint(100, 1000, (1, request["tokens"])).to(DEVICE)
        start = now()
        model(input_ids=ids, logits_to_keep=1)
    elif kind == "decode":
        ids = torch.randint(100, 1000, (request["rows"], request["context"])).to(DEVICE)
        out = model(input_ids=ids, logits_to_keep=1, use_cache=True)
        cache, token = out.past_key_values, out.logits[:, -1].float().argmax(-1, keepdim=True)
        start = now()
        for _ in range(request["steps"]):
            out = model(input_ids=token, past_key_values=cache, use_cache=True)
            token = out.logits[:, -1].float().argmax(-1, keepdim=True)
    return (now() - start) * 1000


model = load()
print(json.dumps({"torch": torch.__version__, "ready": True}), flush=True)
for line in sys.stdin:
    print(json.dumps({"ms": run(model, json.loads(line))}), flush=True)

"""Baseline of the training rows: one LoRA step by transformers + PEFT as LLaMA-Factory sets it (bf16 base,
fp32 adapters, bf16 autocast, AdamW, clip 1.0), in a process that stays. One JSON request a line in,
milliseconds and the peak of memory (resident, or the device's) out."""

import json
import os
import re
import sys
import time

os.environ["HF_HUB_OFFLINE"] = "1"
import torch

# As in hf.py: a torchvision built for another torch cannot declare its operators.
if "+cpu" in torch.__version__:
    _operators = torch.library.Library("torchvision", "DEF")
    for _name in ("nms", "qnms"):
        _operators.define(_name + "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
from peft import LoraConfig, get_peft_model
from transformers import InternVLForConditionalGeneration

CHECKPOINT, THREADS, DEVICE = sys.argv[1], int(sys.argv[2]), sys.argv[3]
IS_GPU = DEVICE.startswith("cuda")
torch.set_num_threads(THREADS)
TARGETS = r".*language_model\..*\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)"

model = InternVLForConditionalGeneration.from_pretrained(CHECKPOINT, dtype=torch.bfloat16).to(DEVICE)
model.config.use_cache = False
model = get_peft_model(model, LoraConfig(r=16, lora_alpha=32, target_modules=TARGETS, task_type="CAUSAL_LM"))
for p in model.parameters():
    if p.requires_grad:
        p.data = p.data.float()
model.enable_input_require_grads()
model.train()
trainable = [p for p in model.parameters() if p.requires_grad]
optimizer = torch.optim.AdamW(trainable, lr=1e-5, weight_decay=0.0)


def peak_bytes(reset=False):
    if IS_GPU:
        if reset:
            torch.cuda.reset_peak_memory_stats()
        return torch.cuda.max_memory_reserved()
    if reset:
        with open("/proc/self/clear_refs", "w") as f:
            f.write("5")
    with open("/proc/self/status") as f:
        return int(re.search(r"VmHWM:\s+(\d+)", f.read())[1]) * 1024


def run(request):
    size = model.config.vision_config.image_size
    size = size if isinstance(size, int) else size[0]
    micro, batch, tokens, learnt, image = (request[k] for k in ("microBatches", "batch", "tokens", "learnt", "imageTokens"))
    if request["checkpointing"]:
        model.gradient_checkpointing_enable()
    else:
        model.gradient_checkpointing_disable()
    ids = torch.randint(100, 1000, (batch, tokens))
    ids[:, 4 : 4 + image] = model.config.image_token_id
    labels = ids.clone()
    labels[:, : tokens - learnt] = -100
    pixels = torch.randn(batch, 3, size, size)
    ids, labels, pixels = (x.to(DEVICE) for x in (ids, labels, pixels))
    if IS_GPU:
        torch.cuda.synchronize()
    peak_bytes(reset=True)
    start = time.perf_counter()
    for _ in range(micro):
        with torch.autocast(model.device.type, dtype=torch.bfloat16):
            loss = model(input_ids=ids, attention_mask=torch.ones_like(ids), pixel_values=pixels, labels=labels).loss
        (loss / micro).backward()
    torch.nn.utils.clip_grad_norm_(trainable, 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    if IS_GPU:
        torch.cuda.synchronize()
    return {"ms": (time.perf_counter() - start) * 1000, "peakBytes": peak_bytes()}


print(json.dumps({"torch": torch.__version__, "ready": True}), flush=True)
for line in sys.stdin:
    print(json.dumps(run(json.loads(line))), flush=True)

#!/usr/bin/env python3
"""Logits and adapters of transformers + PEFT, for test/golden/peft-live.test.ts; CPU, local files only.

    peft-reference.py

Each line of stdin is a job in JSON; it is done and answered by a line on stdout before the next is read:
    {"action": "make", "model": DIR, "out": DIR, "kind": {"r": 4, "lora_alpha": 8, ...}, "seed": N}
    {"action": "logits", "model": DIR, "adapters": [DIR...], "request": FILE, "out": FILE, "dtype": "float32"}
    {"action": "merge", "model": DIR, "adapters": [DIR...], "out": DIR, "dtype": "float32"}
    {"action": "check", "model": DIR}   loads model, tokenizer and processor and tells what it found

A request holds input_ids and pixel_values of one prompt; the output holds the logits at its last position.
"""

import json
import os
import sys

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1")
import torch  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

torch.set_num_threads(1)
import known_torchvision  # noqa: E402, F401
from peft import LoraConfig, PeftModel, get_peft_model  # noqa: E402
from transformers import AutoModelForImageTextToText  # noqa: E402


def load(path, dtype):
    model, info = AutoModelForImageTextToText.from_pretrained(
        path, dtype=getattr(torch, dtype), attn_implementation="eager", output_loading_info=True
    )
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        keys = set(info[kind]) - ({"lm_head.weight"} if model.config.tie_word_embeddings else set())
        if keys:
            raise SystemExit(f"{path}: {kind}: {sorted(keys)}")
    return model.eval()


def make(job):
    """A PEFT adapter whose every matrix is random, so that nothing in it can be left out unnoticed."""
    torch.manual_seed(job["seed"])
    model = get_peft_model(load(job["model"], "float32"), LoraConfig(**job["kind"]))
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            noise = torch.empty_like(parameter).uniform_(-1, 1)
            is_magnitude = "magnitude" in name
            parameter.data = parameter.data * (1 + 0.2 * noise) if is_magnitude else 0.2 * noise
    model.save_pretrained(job["out"])
    return {}


def logits(job):
    model = load(job["model"], job["dtype"])
    for index, adapter in enumerate(job["adapters"]):
        if index == 0:
            model = PeftModel.from_pretrained(model, adapter, adapter_name="0")
        else:
            model.load_adapter(adapter, adapter_name=str(index))
    if len(job["adapters"]) > 1:
        model.base_model.set_adapter([str(index) for index in range(len(job["adapters"]))])
    with open(job["request"], encoding="utf8") as file:
        request = json.load(file)
    inputs = {"input_ids": torch.tensor([request["input_ids"]])}
    inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
    pixels = load_file(request["pixel_values"])["pixel_values"]
    inputs["pixel_values"] = pixels.to(getattr(torch, job["dtype"]))
    with torch.no_grad():
        found = model(**inputs, use_cache=False).logits[0, -1].float()
    save_file({"logits.last": found.contiguous()}, job["out"])
    return {}


def merge(job):
    model = load(job["model"], job["dtype"])
    for adapter in job["adapters"]:
        model = PeftModel.from_pretrained(model, adapter).merge_and_unload()
    model.save_pretrained(job["out"])
    return {}


def check(job):
    from transformers import AutoProcessor

    processor = AutoProcessor.from_pretrained(job["model"])
    model = load(job["model"], "float32")
    turn = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Who is this?"}]}]
    text = processor.apply_chat_template(turn, add_generation_prompt=True)
    return {
        "processor": type(processor).__name__,
        "tokens": len(processor.tokenizer),
        "text": text,
        "ids": processor.tokenizer(text)["input_ids"],
        "eos": model.generation_config.eos_token_id,
        "max_patches": processor.image_processor.max_patches,
        "image_seq_length": processor.image_seq_length,
    }


def main():
    actions = {"make": make, "logits": logits, "merge": merge, "check": check}
    for line in sys.stdin:
        job = json.loads(line)
        print(json.dumps(actions[job["action"]](job)), flush=True)


if __name__ == "__main__":
    main()

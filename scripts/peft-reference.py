#!/usr/bin/env python3
"""Logits and adapters of transformers + PEFT, for test/golden/peft-live.test.ts; CPU, local files only.

    peft-reference.py make   --model DIR --out DIR --kind '{"r": 4, "lora_alpha": 8, ...}' --seed N
    peft-reference.py logits --model DIR --request request.json --out logits.safetensors [--adapter DIR]
    peft-reference.py merge  --model DIR --adapter DIR... --out DIR [--dtype float32]
    peft-reference.py check  --model DIR        (loads model, tokenizer and processor; prints what it found)

A request holds input_ids and pixel_values of one prompt; the output holds the logits at its last position.
"""

import argparse
import json
import os
import sys

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1")
import torch  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

torch.set_num_threads(1)


try:
    import torchvision  # noqa: F401
except RuntimeError:
    # Built for another torch: its operators are absent and not needed, but their names must be known.
    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[name]
    OPERATORS = torch.library.Library("torchvision", "DEF")
    for operator in ("nms", "qnms"):
        OPERATORS.define(operator + "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
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


def make(args):
    """A PEFT adapter whose every matrix is random, so that nothing in it can be left out unnoticed."""
    torch.manual_seed(args.seed)
    model = get_peft_model(load(args.model, "float32"), LoraConfig(**json.loads(args.kind)))
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            noise = torch.empty_like(parameter).uniform_(-1, 1)
            is_magnitude = "magnitude" in name
            parameter.data = parameter.data * (1 + 0.2 * noise) if is_magnitude else 0.2 * noise
    model.save_pretrained(args.out)


def logits(args):
    model = load(args.model, args.dtype)
    for index, adapter in enumerate(args.adapter):
        if index == 0:
            model = PeftModel.from_pretrained(model, adapter, adapter_name="0")
        else:
            model.load_adapter(adapter, adapter_name=str(index))
    if len(args.adapter) > 1:
        model.base_model.set_adapter([str(index) for index in range(len(args.adapter))])
    with open(args.request, encoding="utf8") as file:
        request = json.load(file)
    inputs = {"input_ids": torch.tensor([request["input_ids"]])}
    inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
    inputs["pixel_values"] = load_file(request["pixel_values"])["pixel_values"].to(getattr(torch, args.dtype))
    with torch.no_grad():
        found = model(**inputs, use_cache=False).logits[0, -1].float()
    save_file({"logits.last": found.contiguous()}, args.out)


def merge(args):
    model = load(args.model, args.dtype)
    for adapter in args.adapter:
        model = PeftModel.from_pretrained(model, adapter).merge_and_unload()
    model.save_pretrained(args.out)


def check(args):
    from transformers import AutoProcessor

    processor = AutoProcessor.from_pretrained(args.model)
    model = load(args.model, "float32")
    turn = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Who is this?"}]}]
    text = processor.apply_chat_template(turn, add_generation_prompt=True)
    print(json.dumps({
        "processor": type(processor).__name__,
        "tokens": len(processor.tokenizer),
        "text": text,
        "ids": processor.tokenizer(text)["input_ids"],
        "eos": model.generation_config.eos_token_id,
        "max_patches": processor.image_processor.max_patches,
        "image_seq_length": processor.image_seq_length,
    }))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("make", "logits", "merge", "check"))
    parser.add_argument("--model", required=True)
    parser.add_argument("--adapter", action="append", default=[])
    parser.add_argument("--request")
    parser.add_argument("--kind")
    parser.add_argument("--out")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    {"make": make, "logits": logits, "merge": merge, "check": check}[args.action](args)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""A checkpoint as transformers and bitsandbytes save it in nf4, and what its weights are; CPU, local files only.

    nf4-files-reference.py CHECKPOINT nf4|nf4-double OUT    writes OUT/files (the checkpoint) and OUT/dense.safetensors
"""

import shutil
import sys
from pathlib import Path

import known_torchvision  # noqa: F401
import torch
from bitsandbytes.functional import dequantize_4bit
from safetensors.torch import save_file
from transformers import AutoModelForImageTextToText, BitsAndBytesConfig

checkpoint, form, out = sys.argv[1], sys.argv[2], Path(sys.argv[3])
quantised = BitsAndBytesConfig(
    load_in_4bit=True,
    bnb_4bit_quant_type="nf4",
    bnb_4bit_use_double_quant=form == "nf4-double",
    bnb_4bit_compute_dtype=torch.float32,
    llm_int8_skip_modules=["lm_head", "model.vision_tower", "model.multi_modal_projector"],
)
model = AutoModelForImageTextToText.from_pretrained(checkpoint, dtype=torch.float32, device_map="cpu", quantization_config=quantised)
model.save_pretrained(out / "files")
dense = {
    name.replace("model.language_model.", "language_model.model.") + ".weight": dequantize_4bit(
        module.weight.data, module.weight.quant_state
    )
    for name, module in model.named_modules()
    if type(module).__name__ == "Linear4bit"
}
save_file({name: value.float().contiguous() for name, value in dense.items()}, out / "dense.safetensors")
for file in Path(checkpoint).iterdir():
    if file.suffix in (".json", ".txt", ".jinja") and not (out / "files" / file.name).exists():
        shutil.copy(file, out / "files")

#!/usr/bin/env python3
"""The oracle's training run (golden_train.py) upon a base that bitsandbytes keeps in 4 bits; CPU, local files only.

    qlora-reference.py ORACLE nf4|nf4-double ARGUMENTS OF golden_train.py

ORACLE is the folder with golden_train.py. Text layers alone are quantised; products are computed in fp32.
"""

import sys

oracle, form, *rest = sys.argv[1:]
sys.path.insert(0, oracle)
sys.argv = ["golden_train.py", *rest]
import golden_train  # noqa: E402
import oracle_common  # noqa: E402

def load_model(checkpoint, dtype):
    from transformers import AutoModelForImageTextToText, BitsAndBytesConfig

    quantised = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=form == "nf4-double",
        bnb_4bit_compute_dtype=dtype,
        llm_int8_skip_modules=["lm_head", "model.vision_tower", "model.multi_modal_projector"],
    )
    return AutoModelForImageTextToText.from_pretrained(
        checkpoint, dtype=dtype, attn_implementation="eager", quantization_config=quantised, device_map="cpu"
    )


oracle_common.enable_torchvision()
oracle_common.load_model = load_model
golden_train.main()

"""A checkpoint of a released size with random weights, drawn on the device and written as one file: python3
random_checkpoint.py CONFIGS OUT SIZE DEVICE. CONFIGS is a folder in the HF layout whose configuration files are taken over, SIZE
one of SIZES. Needs torch alone."""

import ctypes
import json
import math
import sys
from pathlib import Path

import torch

VISION = dict(layers=24, hidden=1024, heads=16, mlp=4096, image=448)
TEXT_1B = dict(layers=24, hidden=896, heads=14, kv_heads=2, mlp=4864, vocabulary=151674)
TEXT_8B = dict(layers=28, hidden=3584, heads=28, kv_heads=4, mlp=18944, vocabulary=151674)
SIZES = {
    "1b": (VISION, TEXT_1B),
    "8b": (VISION, TEXT_8B),
    # As golden/ckpt-300m: what a machine without a GPU tries the same steps on.
    "tiny": (
        dict(layers=2, hidden=64, heads=2, mlp=96, image=56),
        dict(layers=2, hidden=64, heads=4, kv_heads=2, mlp=96, vocabulary=2079),
    ),
}
PATCH = 14


def shapes(vision, text):
    """Names and shapes in the order of the model."""
    d, f = vision["hidden"], vision["mlp"]
    yield "vision_tower.embeddings.cls_token", (1, 1, d)
    yield "vision_tower.embeddings.patch_embeddings.projection.weight", (d, 3, PATCH, PATCH)
    yield "vision_tower.embeddings.patch_embeddings.projection.bias", (d,)
    yield "vision_tower.embeddings.position_embeddings", (1, (vision["image"] // PATCH) ** 2 + 1, d)
    for i in range(vision["layers"]):
        at = f"vision_tower.encoder.layer.{i}."
        for name in ("q_proj", "k_proj", "v_proj", "projection_layer"):
            yield f"{at}attention.{name}.weight", (d, d)
            yield f"{at}attention.{name}.bias", (d,)
        for name in ("layernorm_before", "layernorm_after"):
            yield f"{at}{name}.weight", (d,)
            yield f"{at}{name}.bias", (d,)
        yield f"{at}lambda_1", (d,)
        yield f"{at}lambda_2", (d,)
        yield f"{at}mlp.fc1.weight", (f, d)
        yield f"{at}mlp.fc1.bias", (f,)
        yield f"{at}mlp.fc2.weight", (d, f)
        yield f"{at}mlp.fc2.bias", (d,)
    h = text["hidden"]
    for name, shape in (("layer_norm", (4 * d,)), ("linear_1", (h, 4 * d)), ("linear_2", (h, h))):
        yield f"multi_modal_projector.{name}.weight", shape
        yield f"multi_modal_projector.{name}.bias", shape[:1]
    yield "language_model.model.embed_tokens.weight", (text["vocabulary"], h)
    kv = h // text["heads"] * text["kv_heads"]
    for i in range(text["layers"]):
        at = f"language_model.model.layers.{i}."
        for name, rows in (("q_proj", h), ("k_proj", kv), ("v_proj", kv)):
            yield f"{at}self_attn.{name}.weight", (rows, h)
            yield f"{at}self_attn.{name}.bias", (rows,)
        yield f"{at}self_attn.o_proj.weight", (h, h)
        yield f"{at}mlp.gate_proj.weight", (text["mlp"], h)
        yield f"{at}mlp.up_proj.weight", (text["mlp"], h)
        yield f"{at}mlp.down_proj.weight", (h, text["mlp"])
        yield f"{at}input_layernorm.weight", (h,)
        yield f"{at}post_attention_layernorm.weight", (h,)
    yield "language_model.model.norm.weight", (h,)
    yield "language_model.lm_head.weight", (text["vocabulary"], h)


def draw(name, shape, device):
    """Activations of order one: random data, since zeros make a GPU faster than it is."""
    if "norm" in name or "lambda" in name:
        return torch.full(shape, 0.0 if name.endswith("bias") else 1.0, dtype=torch.bfloat16, device=device)
    fan_in = math.prod(shape[1:]) if len(shape) > 1 else shape[0]
    return torch.randn(shape, dtype=torch.bfloat16, device=device).mul_(fan_in**-0.5)


def write_weights(path, tensors, device):
    header, end = {"__metadata__": {"format": "pt"}}, 0
    for name, shape in tensors:
        begin, end = end, end + 2 * math.prod(shape)
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb", buffering=0) as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name, shape in tensors:
            data = draw(name, shape, device).cpu()
            view, size = memoryview((ctypes.c_char * data.nbytes).from_address(data.data_ptr())), data.nbytes
            written = 0
            while written < size:  # one call writes 2 GB at most
                written += file.write(view[written:])


def main(configs, out, size, device):
    torch.manual_seed(1)
    vision, text = SIZES[size]
    out.mkdir(parents=True, exist_ok=True)
    for path in configs.glob("*.json"):
        content = json.loads(path.read_text())
        if path.name == "config.json":
            patches = (vision["image"] // PATCH) ** 2
            content.update(image_seq_length=patches // 4, image_token_id=text["vocabulary"] - 7)
            content["vision_config"].update(
                hidden_size=vision["hidden"], intermediate_size=vision["mlp"], num_hidden_layers=vision["layers"],
                num_attention_heads=vision["heads"], image_size=[vision["image"]] * 2)
            content["text_config"].update(
                hidden_size=text["hidden"], intermediate_size=text["mlp"], num_hidden_layers=text["layers"],
                num_attention_heads=text["heads"], num_key_value_heads=text["kv_heads"], vocab_size=text["vocabulary"])
        elif path.name == "preprocessor_config.json":
            content["size"] = {"height": vision["image"], "width": vision["image"]}
        elif path.name != "generation_config.json":
            continue
        (out / path.name).write_text(json.dumps(content, indent=2))
    write_weights(out / "model.safetensors", list(shapes(vision, text)), device)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4])

#!/usr/bin/env python3
"""Losses of whole answers' probabilities, and their gradients, by transformers + PEFT and torch's autograd:
test/fixtures/answers.json, and the gradients of all adapters in answers.safetensors beside it.

    python scripts/export-answers-fixture.py ORACLE_FOLDER test/fixtures/golden test/fixtures/answers.json

fp32 on the CPU over the golden tiny checkpoint with its trained adapter; the start model is the base. Every answer is a pass of
its own, unshared and unpadded. Expected reward: -sum p r + kl * KL(p || start), p the softmax of the answers' log-probabilities.
Preference: -log sigmoid(beta * ((c - start_c) - (r - start_r))), DPO's equation 7 (arXiv 2305.18290) as TRL's loss_type "sigmoid".
"""

import json
import sys
from pathlib import Path

oracle, golden, out = (Path(argument) for argument in sys.argv[1:4])
sys.path.insert(0, str(oracle))
import golden_train as gt  # noqa: E402
import oracle_common as oc  # noqa: E402
import torch  # noqa: E402

IGNORE = -100
oc.set_threads(1)
checkpoint, images = golden / "ckpt-300m", golden / "train-images"
processor = oc.load_image_processor(checkpoint)
stored = json.loads((golden / "train-lora" / "train.json").read_text())["samples"]
records = json.loads((images / "dataset.json").read_text())
base = oc.load_model(checkpoint, torch.float32)
base.config.use_cache = False
from peft import PeftModel  # noqa: E402  (after torchvision's operators are declared)
from safetensors.torch import save_file  # noqa: E402

model = PeftModel.from_pretrained(base, golden / "train-lora" / "adapter_final", is_trainable=True)


def pixels_of(index):
    pictures = [oc.open_image(name, images) for name in records[index]["images"]]
    if not pictures:
        return None
    return processor(images=pictures, crop_to_patches=False, min_patches=1, max_patches=12, return_tensors="pt")["pixel_values"].float()


def answered(index, kind):
    """The sample with the first two tokens of its answer and its end (0), or with two others in their place."""
    ids, labels = stored[index]["input_ids"], stored[index]["labels"]
    begin = next(i for i, label in enumerate(labels) if label != IGNORE)
    answer = [token if kind == 0 else (token * 7 + 13 * kind) % 900 + 100 for token in ids[begin : begin + 2]] + ids[-2:]
    return {"record": index, "input_ids": ids[:begin] + answer, "labels": [IGNORE] * begin + answer}


def log_prob(sample):
    ids, labels = torch.tensor([sample["input_ids"]]), torch.tensor(sample["labels"])
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    pixels = pixels_of(sample["record"])
    if pixels is not None:
        inputs["pixel_values"] = pixels
    scores = torch.log_softmax(model(**inputs).logits[0, :-1].float(), -1)
    learnt = labels[1:] != IGNORE
    return scores[learnt].gather(1, labels[1:][learnt].unsqueeze(1)).sum()


def rivals(index, count):
    """Of forty other answers those that are about as probable as the own one: no probability is near 0 or 1."""
    with torch.no_grad():
        own = log_prob(answered(index, 0)).item()
        gaps = {kind: abs(log_prob(answered(index, kind)).item() - own) for kind in range(1, 41)}
    return [(index, 0)] + [(index, kind) for kind in sorted(gaps, key=gaps.get)[:count]]


SETS = [
    {"samples": rivals(0, 2), "objective": "expected-reward", "weight": 1.5, "strength": 0.3, "rewards": [1, 0.5, 0]},
    {"samples": rivals(3, 1), "objective": "expected-reward", "weight": 0.5, "strength": 0, "rewards": [1, 0]},
    {"samples": rivals(2, 1), "objective": "preference", "weight": 2, "strength": 0.1, "rewards": []},
]
DENOMINATOR, ANSWERS_DENOMINATOR = 60, 4
samples, sets, weights = [], [], []
for one in SETS:
    first = len(samples)
    samples += [answered(*place) for place in one["samples"]]
    weights += [0.7 if one["objective"] == "expected-reward" else 0.0] + [0.0] * (len(one["samples"]) - 1)
    sets.append({"first": first, "count": len(one["samples"]), **{k: v for k, v in one.items() if k != "samples"}})
samples.append(answered(1, 0))
weights.append(1.0)
with torch.no_grad(), model.disable_adapter():
    start = torch.stack([log_prob(sample) for sample in samples])
own = torch.stack([log_prob(sample) for sample in samples])
loss = -(torch.tensor(weights) * own).sum() / DENOMINATOR
for one in sets:
    part = slice(one["first"], one["first"] + one["count"])
    one["startLogProbs"] = start[part].tolist()
    if one["objective"] == "preference":
        gain = own[part] - start[part]
        value = -torch.nn.functional.logsigmoid(one["strength"] * (gain[0] - gain[1]))
    else:
        scores, before = torch.log_softmax(own[part], 0), torch.log_softmax(start[part], 0)
        value = (scores.exp() * (one["strength"] * (scores - before) - torch.tensor(one["rewards"], dtype=torch.float32))).sum()
    loss = loss + one["weight"] * value / ANSWERS_DENOMINATOR
loss.backward()
gradients = {name.replace(".default.", "."): p.grad for name, p in model.named_parameters() if p.requires_grad}
result = {
    "environment": oc.environment(),
    "denominator": DENOMINATOR,
    "answersDenominator": ANSWERS_DENOMINATOR,
    "samples": [{**sample, "weight": weight} for sample, weight in zip(samples, weights)],
    "sets": sets,
    "logProbs": own.tolist(),
    "startLogProbs": start.tolist(),
    "loss": loss.item(),
}
out.write_text(json.dumps(result, indent=1) + "\n")
save_file(gradients, out.with_suffix(".safetensors"))

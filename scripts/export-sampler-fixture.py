#!/usr/bin/env python3
"""Writes test/fixtures/sampler.safetensors: next-token distributions by transformers' own logits processors.

    python scripts/export-sampler-fixture.py test/fixtures/sampler.safetensors

Per case N (all fp32): N.logits [V], N.seen [ids], N.options [temperature, top_k, top_p, min_p,
repetition_penalty] (0, 1, 0, 1: off, as in native/generation/face_llm.h), N.probabilities [V].
"""

import sys

import torch
import transformers
from safetensors.torch import save_file
from transformers import (
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

CASES = [
    (1.0, 0, 1.0, 0.0, 1.0),
    (0.7, 0, 1.0, 0.0, 1.0),
    (1.8, 5, 1.0, 0.0, 1.0),
    (1.0, 0, 0.9, 0.0, 1.0),
    (1.0, 0, 0.3, 0.0, 1.0),
    (1.0, 0, 1.0, 0.1, 1.0),
    (1.0, 0, 1.0, 0.0, 1.3),
    (1.0, 0, 1.0, 0.0, 0.8),
    (0.95, 50, 0.7, 0.0, 1.0),  # LLaMA-Factory's chat defaults
    (0.8, 20, 0.8, 0.05, 1.1),
    (2.5, 7, 0.95, 0.2, 1.5),
    (0.2, 100, 0.99, 0.01, 1.05),
]


def processors(temperature, top_k, top_p, min_p, penalty):
    steps = LogitsProcessorList()
    if penalty != 1.0:
        steps.append(RepetitionPenaltyLogitsProcessor(penalty))
    if temperature != 1.0:
        steps.append(TemperatureLogitsWarper(temperature))
    if top_k:
        steps.append(TopKLogitsWarper(top_k))
    if top_p < 1.0:
        steps.append(TopPLogitsWarper(top_p))
    if min_p > 0.0:
        steps.append(MinPLogitsWarper(min_p))
    return steps


def main():
    generator = torch.Generator().manual_seed(1)
    tensors = {}
    for index, case in enumerate(CASES * 2):
        vocabulary = 64 if index < len(CASES) else 1000
        logits = torch.randn(vocabulary, generator=generator) * 3
        seen = torch.randint(0, vocabulary, (12,), generator=generator)
        scores = processors(*case)(seen.unsqueeze(0), logits.unsqueeze(0).clone())
        tensors[f"{index}.logits"] = logits
        tensors[f"{index}.seen"] = seen.float()
        tensors[f"{index}.options"] = torch.tensor([case[0], case[1], case[2], case[3], case[4]], dtype=torch.float32)
        tensors[f"{index}.probabilities"] = torch.softmax(scores.double(), -1)[0].float()
    save_file(tensors, sys.argv[1], metadata={"transformers": transformers.__version__, "torch": torch.__version__})


if __name__ == "__main__":
    main()

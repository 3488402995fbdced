#!/usr/bin/env python3
"""What transformers makes of the options of an answer: ids, and log-probabilities of model and draw.

    python scripts/options-reference.py cases.json out.json

cases.json: {"checkpoint", "cases": [{"name", "prompt", "end_ids", "max_new_tokens", options, "ids"?}]}. The options by
the names of generation_config.json: repetition_penalty, sequence_bias ({id: bias}), min_new_tokens, temperature, top_k,
top_p; and frequency_penalty, presence_penalty (OpenAI's formula, which transformers does not have). Without `ids` the
answer is transformers' own greedy one: by `generate`'s own arguments where only one option is given, else by its processors
in our order. With `ids`, an answer that was drawn, each place is scored behind them. Per case: ids, margins (how far the
best score leads), and of each place raw and processed log-probability of the id and of the three best ids. fp32, prompts
of text alone.
"""

import json
import sys

import known_torchvision  # noqa: F401
import torch
import transformers
from transformers import (
    InternVLForConditionalGeneration,
    LogitsProcessor,
    LogitsProcessorList,
    MinNewTokensLengthLogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
    SequenceBiasLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

TOP = 3


class CountPenalties(LogitsProcessor):
    """platform.openai.com/docs/api-reference: mu[j] -= c[j] * frequency + (c[j] > 0) * presence, over generated ids."""

    def __init__(self, prompt, frequency, presence):
        self.prompt, self.frequency, self.presence = prompt, frequency, presence

    def __call__(self, input_ids, scores):
        counts = torch.zeros_like(scores)
        generated = input_ids[:, self.prompt :]
        counts.scatter_add_(1, generated, torch.ones_like(generated, dtype=scores.dtype))
        return scores - counts * self.frequency - (counts > 0) * self.presence


def bias_of(case):
    return {(int(key),): float(value) for key, value in case["sequence_bias"].items()}


def processors_of(case, prompt):
    steps = LogitsProcessorList()
    if "repetition_penalty" in case:
        steps.append(RepetitionPenaltyLogitsProcessor(case["repetition_penalty"]))
    if "frequency_penalty" in case or "presence_penalty" in case:
        steps.append(CountPenalties(prompt, case.get("frequency_penalty", 0.0), case.get("presence_penalty", 0.0)))
    if "sequence_bias" in case:
        steps.append(SequenceBiasLogitsProcessor(bias_of(case)))
    if "min_new_tokens" in case:
        steps.append(MinNewTokensLengthLogitsProcessor(prompt, case["min_new_tokens"], case["end_ids"]))
    if "temperature" in case:
        steps.append(TemperatureLogitsWarper(case["temperature"]))
    if "top_k" in case:
        steps.append(TopKLogitsWarper(case["top_k"]))
    if "top_p" in case:
        steps.append(TopPLogitsWarper(case["top_p"]))
    return steps


def answer(model, case):
    """Ids, and logits and scores [places, V] behind them."""
    prompt = torch.tensor([case["prompt"]])
    length = prompt.shape[1]
    if "ids" in case:
        whole = torch.tensor([case["prompt"] + case["ids"]])
        logits = model(input_ids=whole).logits[0, length - 1 : -1].float()
        steps = processors_of(case, length)
        scores = [steps(whole[:, : length + i], row.unsqueeze(0).clone())[0] for i, row in enumerate(logits)]
        return case["ids"], logits, torch.stack(scores)
    own = {name: case[name] for name in ("repetition_penalty", "min_new_tokens") if name in case}
    if "sequence_bias" in case:
        own["sequence_bias"] = bias_of(case)
    is_own = len(own) == 1 and not {"frequency_penalty", "presence_penalty"} & case.keys()
    extra = own if is_own else {"logits_processor": processors_of(case, length)}
    out = model.generate(
        input_ids=prompt,
        attention_mask=torch.ones_like(prompt),
        do_sample=False,
        max_new_tokens=case["max_new_tokens"],
        eos_token_id=case["end_ids"] or None,
        pad_token_id=0,
        output_logits=True,
        output_scores=True,
        return_dict_in_generate=True,
        **extra,
    )
    return out.sequences[0, length:].tolist(), torch.cat(out.logits).float(), torch.cat(out.scores)


def describe(values, ids):
    logs = torch.log_softmax(values.double(), -1)
    best = torch.topk(logs, TOP, -1)
    own = logs[torch.arange(len(ids)), torch.tensor(ids)]
    # JSON has no infinity; what is forbidden is left out.
    top = [
        [[int(i), round(float(v), 6)] for i, v in zip(ids_, values_) if v > -1e30]
        for ids_, values_ in zip(best.indices, best.values)
    ]
    return {"log_probs": [round(float(v), 6) for v in own], "top": top}


def main():
    given = json.load(open(sys.argv[1], encoding="utf-8"))
    torch.set_grad_enabled(False)
    model = InternVLForConditionalGeneration.from_pretrained(given["checkpoint"], dtype=torch.float32).eval()
    results = []
    for case in given["cases"]:
        ids, logits, scores = answer(model, case)
        best = torch.topk(scores, 2, -1).values
        margins = [min(1e9, round(float(a - b), 6)) for a, b in best]
        raw, processed = describe(logits, ids), describe(scores, ids)
        results.append({**case, "ids": ids, "margins": margins, "raw": raw, "processed": processed})
    versions = {"transformers": transformers.__version__, "torch": torch.__version__}
    with open(sys.argv[2], "w", encoding="utf-8") as file:
        lines = ",\n".join(json.dumps(result) for result in results)
        file.write(f'{{"versions": {json.dumps(versions)}, "cases": [\n{lines}\n]}}\n')


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Writes test/fixtures/bpe.json: what Hugging Face's BpeTrainer learns from the texts that it holds.

    pip install tokenizers
    python scripts/export-bpe-fixture.py test/fixtures/bpe.json

Qwen2's normalisation and pre-tokenisation, all 256 bytes as the first alphabet. The cases end for different reasons:
one at its size, one when pairs become too rare, one when no pair is left. Texts are invented and drawn with a fixed
seed; many pairs tie.
"""

import json
import random
import sys

import tokenizers
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

SEED = 20260301
SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|"
    r"\s*[\r\n]+|\s+(?!\S)|\s+"
)
WORDS = (
    "the face of a young woman with long dark hair and a smile looks straight at the camera while he's wearing "
    "glasses, a beard; she'd estimate 30-39 years old. They're EAST ASIAN Middle Eastern white indian black latino "
    "hispanic southeast expression: neutral happy surprised angry\n forehead cheekbones naïve café über 笑顔 眼镜 "
    "女性 лицо человек 👩🏽‍🦱 👨‍👩‍👧 e\u0301tude \u1e9b\u0323 aaaa aaaaa aaaaaaa banana bananas \t\t  ... !!! 100% I'LL WE'VE"
).split(" ")


def corpus(generator):
    texts = []
    for _ in range(400):
        words = [generator.choice(WORDS) for _ in range(generator.randint(3, 12))]
        # Rare ones, so that a vocabulary can end for want of frequent pairs.
        words.append("".join(generator.choice("aabcdeéß女") for _ in range(generator.randint(2, 12))))
        texts.append(generator.choice(["user\n", "assistant\n", ""]) + " ".join(words) + generator.choice(["", ".", "?\n", "  \n\n"]))
    return texts


def train(texts, size, frequency):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(SPLIT), "isolated"), pre_tokenizers.ByteLevel(False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        min_frequency=frequency,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=[],
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    pieces = sorted(model["vocab"], key=model["vocab"].get)
    return {"vocabularySize": size, "minFrequency": frequency, "alphabet": pieces[:256], "merges": model["merges"]}


def main(path):
    texts = corpus(random.Random(SEED))
    cases = [train(texts, 400, 1), train(texts, 5000, 12), train(texts[:60], 20000, 1)]
    fixture = {
        "made_by": "scripts/export-bpe-fixture.py",
        "tokenizers": tokenizers.__version__,
        "seed": SEED,
        "texts": texts,
        "cases": [{**case, "texts": count} for case, count in zip(cases, [400, 400, 60])],
    }
    with open(path, "w", encoding="utf-8") as file:
        json.dump(fixture, file, ensure_ascii=False, indent=None, separators=(",", ":"))
        file.write("\n")
    print([len(case["merges"]) for case in cases])


main(sys.argv[1])

#!/usr/bin/env python3
"""Writes the pictures of the oracle's training samples as PNG, and the samples as a ShareGPT file.

    python scripts/export-training-images.py ORACLE_FOLDER test/fixtures/golden/train-images
"""

import json
import sys
from pathlib import Path

oracle, out = Path(sys.argv[1]), Path(sys.argv[2])
sys.path.insert(0, str(oracle))
import oracle_common as oc  # noqa: E402

records = []
for index, sample in enumerate(json.loads((oracle / "cases" / "train_tiny.json").read_text())):
    names = []
    for k, source in enumerate(sample["images"]):
        names.append(f"{index}_{k}.png")
        oc.open_image(source, oracle / "cases").save(out / names[-1])
    records.append({"conversations": sample["conversations"], "images": names})
(out / "dataset.json").write_text(json.dumps(records, indent=1, ensure_ascii=False) + "\n")

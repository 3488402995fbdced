"""Words as compressed-tensors packs codes, and torch's own float8: test/fixtures/quantised/words.json, by which the tests' packing is
held to those. Needs torch and compressed-tensors; run from the root of the repository."""
import json
import pathlib

import torch
from compressed_tensors.compressors.quantized_compressors.pack_quantized import pack_to_int32, unpack_from_int32

generator = torch.Generator().manual_seed(3)
packed = []
for bits, rows, columns, dimension in [(4, 3, 16, 1), (4, 2, 13, 1), (8, 3, 8, 1), (8, 2, 5, 1), (4, 9, 3, 0)]:
    codes = torch.randint(-(1 << (bits - 1)), 1 << (bits - 1), (rows, columns), generator=generator, dtype=torch.int32).to(torch.int8)
    words = pack_to_int32(codes, bits, dimension)
    assert torch.equal(unpack_from_int32(words, bits, codes.shape, dimension), codes)
    packed.append({"bits": bits, "shape": [rows, columns], "dimension": dimension, "codes": codes.flatten().tolist(), "words": words.flatten().tolist()})
values = torch.randn(64, generator=generator) * 20
fp8 = {"values": values.tolist(), "codes": values.to(torch.float8_e4m3fn).view(torch.uint8).tolist()}
target = pathlib.Path("test/fixtures/quantised/words.json")
target.parent.mkdir(parents=True, exist_ok=True)
target.write_text(json.dumps({"packed": packed, "fp8": fp8}))

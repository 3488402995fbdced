#!/usr/bin/env python3
"""Writes test/fixtures/pictures: odd kinds of small image files, and what Pillow's convert("RGB") makes of them.

    python scripts/export-image-fixture.py test/fixtures/pictures

expected.json: Pillow's version, and per file its mode in Pillow, width, height and the RGB bytes as base64.
"""

import base64
import json
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import PIL
from PIL import Image

HEIGHT, WIDTH = 8, 12


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def deep_png(path, samples, colour_type, extra=b""):
    """A 16-bit PNG, which Pillow reads but cannot write; `samples` is [H, W] or [H, W, C] uint16."""
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    header = struct.pack(">IIBBBBB", samples.shape[1], samples.shape[0], 16, colour_type, 0, 0, 0)
    body = chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)


def deep_tiff(path, samples, order, photometric):
    """An uncompressed 16-bit TIFF; `order` is '<' or '>', `samples` is [H, W, C] uint16."""
    height, width, channels = samples.shape
    data = samples.astype(order + "u2").tobytes()
    depths_at = 8 + len(data)

    def entry(tag, kind, count, value):
        packed = struct.pack(order + "HH", value, 0) if kind == 3 and count == 1 else struct.pack(order + "I", value)
        return struct.pack(order + "HHI", tag, kind, count) + packed

    entries = [
        entry(256, 4, 1, width),
        entry(257, 4, 1, height),
        entry(258, 3, channels, depths_at if channels > 1 else 16),
        entry(259, 3, 1, 1),
        entry(262, 3, 1, photometric),
        entry(273, 4, 1, 8),
        entry(277, 3, 1, channels),
        entry(278, 4, 1, height),
        entry(279, 4, 1, len(data)),
    ]
    depths = struct.pack(f"{order}{channels}H", *[16] * channels)
    directory = struct.pack(order + "H", len(entries)) + b"".join(entries) + bytes(4)
    magic = b"II*\0" if order == "<" else b"MM\0*"
    path.write_bytes(magic + struct.pack(order + "I", depths_at + len(depths)) + data + depths + directory)


def write_files(out):
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    inks = np.stack([x * 21, y * 32, (x * y * 3) % 256, (x + y) * 9], -1).astype(np.uint8)
    cmyk = Image.fromarray(inks, "CMYK")
    cmyk.save(out / "cmyk.jpg", quality=95)
    cmyk.save(out / "cmyk.tif")
    jpeg = (out / "cmyk.jpg").read_bytes()
    adobe = jpeg.index(b"\xff\xee\x00\x0eAdobe")
    (out / "cmyk-without-adobe-marker.jpg").write_bytes(jpeg[:adobe] + jpeg[adobe + 16 :])
    # The last byte of the marker names the transform; 2 is YCCK.
    (out / "ycck.jpg").write_bytes(jpeg[: adobe + 15] + b"\x02" + jpeg[adobe + 16 :])

    rgb = np.stack([x * 21, y * 32, (x * y * 3) % 256], -1).astype(np.uint8)
    palette = Image.fromarray(rgb).quantize(8)
    palette.save(out / "palette.png")
    palette.save(out / "palette-transparent.png", transparency=bytes([0, 128, 255, 3, 200, 7, 8, 9]))
    palette.save(out / "palette.gif")
    palette.save(out / "palette-transparent.gif", transparency=3)
    two = [palette, palette.rotate(180)]
    two[0].save(out / "two-frames-transparent.gif", save_all=True, append_images=two[1:], transparency=2, disposal=2)
    Image.fromarray(np.dstack([rgb, rgb[..., 0]]), "RGBA").save(out / "alpha.png")
    Image.fromarray(np.dstack([rgb[..., 0], rgb[..., 1]]), "LA").save(out / "grey-alpha.png")
    Image.fromarray(rgb[..., 0]).convert("1").save(out / "bilevel.png")

    generator = np.random.default_rng(1)
    colour = generator.integers(0, 65536, (HEIGHT, WIDTH, 3)).astype(np.uint16)
    # Low levels too: everything above 255 becomes white.
    grey = (np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH) * 4).astype(np.uint16)
    deep_png(out / "colour-16.png", colour, 2)
    deep_png(out / "colour-alpha-16.png", np.dstack([colour, grey]), 6)
    deep_png(out / "grey-16.png", grey, 0)
    deep_png(out / "grey-transparent-16.png", grey, 0, chunk(b"tRNS", struct.pack(">H", 8)))
    deep_png(out / "grey-alpha-16.png", np.dstack([grey * 170, colour[..., 0]]), 4)
    deep_tiff(out / "colour-16-le.tif", colour, "<", 2)
    deep_tiff(out / "colour-16-be.tif", colour, ">", 2)
    deep_tiff(out / "grey-16-be.tif", grey[..., None], ">", 1)
    deep_tiff(out / "cmyk-16.tif", np.dstack([colour, grey * 170]), "<", 5)


def main():
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    write_files(out)
    files = {}
    for path in sorted(out.iterdir()):
        if path.suffix == ".json":
            continue
        with Image.open(path) as image:
            pixels = image.convert("RGB")
            encoded = base64.b64encode(pixels.tobytes()).decode()
            files[path.name] = {"mode": image.mode, "width": pixels.width, "height": pixels.height, "rgb": encoded}
    manifest = {"pillow": PIL.__version__, "files": files}
    (out / "expected.json").write_text(json.dumps(manifest, indent=1) + "\n")


if __name__ == "__main__":
    main()

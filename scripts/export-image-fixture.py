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


def small_frame_gif(path, screen_table, own_table, transparent):
    """A GIF of 12 x 8 whose only frame covers 6 x 4 of it, from (3, 2); tables are 4 colours or None."""
    flags = lambda table: 0x81 if table else 0
    control = b"\x21\xf9\x04" + bytes([int(transparent is not None), 0, 0, transparent or 0]) + b"\0"
    # Codes of 3 bits: clear (4) before every third pixel, so that they never grow; then the end (5).
    codes = []
    for i in range(24):
        codes += [4] * (i % 2 == 0) + [i % 4]
    bits = sum(code << 3 * i for i, code in enumerate([*codes, 5]))
    data = bits.to_bytes((3 * (len(codes) + 1) + 7) // 8, "little")
    path.write_bytes(
        b"GIF89a" + struct.pack("<HHBBB", WIDTH, HEIGHT, flags(screen_table), 2, 0) + bytes(screen_table or [])
        + control + b"," + struct.pack("<HHHHB", 3, 2, 6, 4, flags(own_table)) + bytes(own_table or [])
        + b"\x02" + bytes([len(data)]) + data + b"\0;"
    )


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
    shared, own = [10, 20, 30, 200, 0, 0, 0, 200, 0, 0, 0, 200], [40, 50, 60, 1, 2, 3, 250, 251, 252, 7, 8, 9]
    small_frame_gif(out / "small-frame.gif", shared, None, None)
    small_frame_gif(out / "small-frame-own-palette.gif", shared, own, None)
    small_frame_gif(out / "small-frame-only-own-palette.gif", None, own, None)
    small_frame_gif(out / "small-frame-transparent.gif", shared, None, 2)
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

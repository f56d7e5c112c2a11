"""A project's icon: its initials over a ridge of mountains, in a colour of its own.

Drawn as SVG, which JupyterLab shows, and as PNG for whoever shows no SVG; with the standard library only.
"""

from __future__ import annotations

import colorsys
import hashlib
import struct
import zlib
from html import escape
from pathlib import Path

from himalia_kernels.files import write_whole

SIZES = (32, 64)
CONTRAST = 4.5  # of white letters on the colour (WCAG AA); the colour stands out from a dark page as well then
_Color = tuple[int, int, int]
_Shape = tuple[tuple[float, float], ...]
RIDGE: _Shape = ((0, 26), (6, 20), (9, 22), (15, 17), (21, 23), (25, 20), (32, 26), (32, 32), (0, 32))
SNOW: _Shape = ((11.4, 20), (15, 17), (18.6, 20.6), (16.6, 20), (15, 21.4), (13, 20))
RADIUS = 6
SAMPLES = 3
"""In each direction of a pixel."""
_ROWS = """
ehhvhhh uhhuhhu ehgggge uhhhhhu vgguggv vgguggg ehgnhhf hhhvhhh e44444e 72222i8 hikokih ggggggv hrllhhh hppljjh ehhhhhe
uhhuggg ehhhlid uhhukih fgge11u v444444 hhhhhhe hhhhha4 hhhllla hha4ahh hha4444 v1248gv ehjlphe 4c4444e eh1248v v1211he
26aiv22 vgu11he 68guhhe v124888 ehhehhe ehhf12c
"""
_FONT = {
    letter: tuple(int(row, 32) for row in rows)
    for letter, rows in zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", _ROWS.split(), strict=True)
}
"""Five columns and seven rows; a row is a digit of base 32, its highest bit on the left."""
CLEAR, FILL, WHITE, PALE = range(4)


def color(name: str) -> _Color:
    """The colour of *name*: red, green and blue, 0 to 255."""
    hue = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") / 2**32
    light = 0.8
    while True:
        red, green, blue = (round(part * 255) for part in colorsys.hls_to_rgb(hue, light, 0.58))
        if contrast((255, 255, 255), (red, green, blue)) >= CONTRAST:
            return red, green, blue
        light -= 0.01


def contrast(one: _Color, other: _Color) -> float:
    """The ratio of WCAG 2: 1 to 21."""
    first, second = sorted((_luminance(one), _luminance(other)))
    return (second + 0.05) / (first + 0.05)


def _luminance(rgb: _Color) -> float:
    parts = [part / 255 for part in rgb]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def initials(name: str) -> str:
    """One or two letters or digits that stand for *name*."""
    words = "".join(char if char.isascii() and char.isalnum() else " " for char in name.upper()).split()
    if len(words) > 1:
        return words[0][0] + words[1][0]
    return words[0][:2] if words else "H"


def svg(name: str, badge: str = "") -> str:
    """The icon as SVG. *badge*: letters in its corner, of another language."""
    fill = "#{:02x}{:02x}{:02x}".format(*color(name))
    points, snow = (" ".join(f"{x},{y}" for x, y in shape) for shape in (RIDGE, SNOW))
    text = 'text-anchor="middle" font-family="Helvetica, Arial, sans-serif" font-weight="bold"'
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" width="64" height="64" viewBox="0 0 32 32" role="img">',
        f"<title>{escape(name)}</title>",
        f'<clipPath id="c"><rect width="32" height="32" rx="{RADIUS}"/></clipPath><g clip-path="url(#c)">',
        f'<rect width="32" height="32" fill="{fill}"/>',
        f'<polygon points="{points}" fill="#fff" fill-opacity="0.45"/><polygon points="{snow}" fill="#fff"/></g>',
        f'<text x="16" y="15" {text} font-size="14" fill="#fff">{initials(name)}</text>',
    ]
    if badge:
        width = 7 * len(badge) + 1
        middle = 30 - width / 2
        parts.append(f'<rect x="{30 - width}" y="20" width="{width}" height="10" rx="2" fill="#fff"/>')
        parts.append(f'<text x="{middle}" y="28" {text} font-size="9" fill="{fill}">{escape(badge)}</text>')
    return "\n".join([*parts, "</svg>", ""])


def png(name: str, size: int, badge: str = "") -> bytes:
    """The icon as PNG of *size* × *size* pixels."""
    fill = color(name)
    pale = tuple(round(part * 0.55 + 255 * 0.45) for part in fill)
    palette = {CLEAR: (0, 0, 0), FILL: fill, WHITE: (255, 255, 255), PALE: pale}
    grid = _grid(name, size * SAMPLES, badge)
    rows = bytearray()
    for top in range(0, size * SAMPLES, SAMPLES):
        rows.append(0)  # no filter
        lines = grid[top : top + SAMPLES]
        for left in range(0, size * SAMPLES, SAMPLES):
            samples = b"".join(line[left : left + SAMPLES] for line in lines)
            if samples == samples[:1] * len(samples):
                red, green, blue = palette[samples[0]]
                rows += bytes((red, green, blue, 255 if samples[0] != CLEAR else 0))
                continue
            seen = [palette[sample] for sample in samples if sample != CLEAR]
            rows += bytes(sum(part) // len(seen) for part in zip(*seen, strict=True))
            rows.append(255 * len(seen) // len(samples))
    header = struct.pack(">IIBBBBB", size, size, 8, 6, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(rows), 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _grid(name: str, count: int, badge: str) -> list[bytearray]:
    """The drawing as *count* × *count* samples, row by row."""
    letters = initials(name)
    left, corner = 16 - (12 * len(letters) - 2) / 2, 29 - 7 * len(badge)
    rows = []
    for number in range(count):
        y = (number + 0.5) * 32 / count
        row = bytearray([CLEAR]) * count

        def fill(start: float, end: float, kind: int, row: bytearray = row) -> None:
            first, last = (min(max(round(x * count / 32), 0), count) for x in (start, end))
            row[first:last] = bytes([kind]) * (last - first)

        beyond = max(RADIUS - y, y - (32 - RADIUS), 0)
        inset = RADIUS - (RADIUS**2 - beyond**2) ** 0.5
        fill(inset, 32 - inset, FILL)
        for shape, kind in ((RIDGE, PALE), (SNOW, WHITE)):
            for start, end in _spans(shape, y):
                fill(max(start, inset), min(end, 32 - inset), kind)
        for start, end in _written(letters, (y - 2) / 2):
            fill(left + 2 * start, left + 2 * end, WHITE)
        if badge and 20 <= y < 30:
            fill(corner, 30, WHITE)
            for start, end in _written(badge, (y - 21.2) / 1.1):
                fill(corner + 1.5 + 1.1 * start, corner + 1.5 + 1.1 * end, FILL)
        rows.append(row)
    return rows


def _written(text: str, y: float) -> list[tuple[float, float]]:
    """From where to where *text* is on the line *y*, in units of its font's dots."""
    if not 0 <= y < 7:
        return []
    return [
        (6 * place + column, 6 * place + column + 1)
        for place, letter in enumerate(text)
        for column in range(5)
        if _FONT.get(letter, (0,) * 7)[int(y)] >> (4 - column) & 1
    ]


def _spans(shape: _Shape, y: float) -> list[tuple[float, float]]:
    """From where to where a polygon is on the line *y*."""
    crossings = sorted(
        (x2 - x1) * (y - y1) / (y2 - y1) + x1
        for (x1, y1), (x2, y2) in zip(shape, shape[1:] + shape[:1], strict=True)
        if (y1 > y) != (y2 > y)
    )
    return list(zip(crossings[::2], crossings[1::2], strict=True))


def write_icons(folder: Path, name: str, badge: str = "") -> None:
    """Write the icon's files into a kernelspec's *folder*; nothing when they are there."""
    drawing = svg(name, badge)
    images = [folder / f"logo-{size}x{size}.png" for size in SIZES]
    vector = folder / "logo-svg.svg"
    if vector.is_file() and vector.read_text("utf-8") == drawing and all(image.is_file() for image in images):
        return
    for size, image in zip(SIZES, images, strict=True):
        image.write_bytes(png(name, size, badge))
    # last: it says that all are there
    write_whole(vector, drawing, mode=0o644, durable=False)

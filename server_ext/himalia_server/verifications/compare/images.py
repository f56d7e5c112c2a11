"""PNG images compared by what they show. The format: W3C, Portable Network Graphics, third edition."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import Any

SIGNATURE = b"\x89PNG\r\n\x1a\n"
PIXELS = 16_000_000
"""The largest image that is looked into; equal files are equal whatever their size."""
VISIBLE = 16
"""Of 255: two pixels differ when a channel differs by more, laid over white."""
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""By colour type: grey, red-green-blue, palette, grey with alpha, red-green-blue with alpha."""
_DEPTHS = {0: {1, 2, 4, 8, 16}, 2: {8, 16}, 3: {1, 2, 4, 8}, 4: {8, 16}, 6: {8, 16}}


class ImageFault(ValueError):
    """An image that cannot be compared; the text says why."""


@dataclass(frozen=True)
class Header:
    """*depth*: bits a sample. *filtered*: the rows as they are stored, each after its filter's number."""

    width: int
    height: int
    depth: int
    colour: int
    palette: bytes
    transparent: bytes
    filtered: bytes

    @property
    def size(self) -> str:
        """Width and height in pixels."""
        return f"{self.width}×{self.height}"


def read(data: bytes) -> Header:
    """A PNG's header and its rows, still filtered.

    Raises:
        ImageFault: it is none, is broken, or is stored in a way that is not read here.
    """
    if not data.startswith(SIGNATURE):
        raise ImageFault("it is no PNG")
    place, chunks = len(SIGNATURE), dict[bytes, list[bytes]]()
    while place + 8 <= len(data):
        (length,), kind = struct.unpack(">I", data[place : place + 4]), data[place + 4 : place + 8]
        chunks.setdefault(kind, []).append(data[place + 8 : place + 8 + length])
        place += 12 + length
    try:
        width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", chunks[b"IHDR"][0])
        if width * height > PIXELS:
            raise ImageFault(f"it is larger than {PIXELS // 1_000_000} million pixels ({width}×{height})")
        if interlaced:
            raise ImageFault("it is interlaced")
        if colour not in _CHANNELS or depth not in _DEPTHS[colour]:
            raise ImageFault(f"its colour type {colour} with {depth} bits is not known")
        row = 1 + (width * _CHANNELS[colour] * depth + 7) // 8
        unpack = zlib.decompressobj()
        filtered = unpack.decompress(b"".join(chunks[b"IDAT"]), row * height)
    except (KeyError, struct.error, zlib.error) as error:
        raise ImageFault("the PNG is broken") from error
    if len(filtered) != row * height:
        raise ImageFault("the PNG is broken: pixels are missing")
    palette, transparent = (b"".join(chunks.get(kind, [])) for kind in (b"PLTE", b"tRNS"))
    return Header(width, height, depth, colour, palette, transparent, filtered)


def share_that_differs(saved: bytes, now: bytes) -> tuple[float, Header, Header]:
    """The share of pixels, 0 to 1, that differ visibly; 1 when the sizes differ. With both headers.

    Raises:
        ImageFault: one of them cannot be looked into.
    """
    a, b = read(saved), read(now)
    if (a.width, a.height) != (b.width, b.height):
        return 1.0, a, b
    if a == b:
        return 0.0, a, b
    import numpy as np  # only when images differ: the service starts without it

    left, right = _over_white(a), _over_white(b)
    apart = (np.abs(left.astype(np.int16) - right.astype(np.int16)) > VISIBLE).any(axis=2)
    return float(apart.mean()), a, b


def _over_white(header: Header) -> Any:
    """Red, green and blue, 0 to 255, of each pixel laid over white: shape (height, width, 3)."""
    import numpy as np

    samples = _samples(header)
    if header.colour == 3:
        colours = np.frombuffer(header.palette, np.uint8).reshape(-1, 3)
        if samples.size and int(samples.max()) >= len(colours):
            raise ImageFault("the PNG is broken: a colour is missing in its palette")
        alphas = np.full(len(colours), 255, np.uint8)
        given = np.frombuffer(header.transparent, np.uint8)[: len(colours)]
        alphas[: len(given)] = given
        rgb, alpha = colours[samples[..., 0]], alphas[samples[..., 0]][..., None]
    else:
        alpha = samples[..., -1:] if header.colour in (4, 6) else np.full((*samples.shape[:2], 1), 255, np.uint8)
        rgb = samples[..., :3] if header.colour in (2, 6) else np.repeat(samples[..., :1], 3, axis=2)
    part = alpha.astype(np.float32) / 255
    return (rgb * part + 255 * (1 - part)).round().astype(np.uint8)


def _samples(header: Header) -> Any:
    """All samples in eight bits (a palette's as they are): shape (height, width, channels)."""
    import numpy as np

    channels = _CHANNELS[header.colour]
    step = max(1, channels * header.depth // 8)
    rows = _unfiltered(np.frombuffer(header.filtered, np.uint8).reshape(header.height, -1), step)
    if header.depth == 8:
        return rows.reshape(header.height, header.width, channels)
    if header.depth == 16:
        return rows.reshape(header.height, header.width, channels, 2)[..., 0]
    bits = np.unpackbits(rows, axis=1)[:, : header.width * header.depth].reshape(header.height, header.width, -1)
    values = bits.dot(1 << np.arange(header.depth - 1, -1, -1)).astype(np.uint8)
    if header.colour == 0:
        values = (values.astype(np.uint16) * 255 // (2**header.depth - 1)).astype(np.uint8)
    return values[..., None]


def _unfiltered(stored: Any, step: int) -> Any:
    """Undo the rows' filters: a pixel needs its left, upper and upper left neighbours, so diagonals go at once."""
    import numpy as np

    kinds = stored[:, 0]
    if kinds.size and int(kinds.max()) > 4:
        raise ImageFault("the PNG is broken: a row has no known filter")
    height = stored.shape[0]
    width = -(-(stored.shape[1] - 1) // step)
    padded = np.zeros((height, width * step), np.uint8)
    padded[:, : stored.shape[1] - 1] = stored[:, 1:]
    raw = padded.reshape(height, width, step).astype(np.int16)
    # one row above and one column to the left, of zeros
    out = np.zeros((height + 1, width + 1, step), np.int16)
    for diagonal in range(height + width - 1):
        rows = np.arange(max(0, diagonal - width + 1), min(height, diagonal + 1))
        columns = diagonal - rows
        left, up, corner = out[rows + 1, columns], out[rows, columns + 1], out[rows, columns]
        guess = left + up - corner
        to_left, to_up, to_corner = abs(guess - left), abs(guess - up), abs(guess - corner)
        nearest = np.where((to_left <= to_up) & (to_left <= to_corner), left, np.where(to_up <= to_corner, up, corner))
        kind = kinds[rows][:, None]
        base = np.select([kind == 1, kind == 2, kind == 3, kind == 4], [left, up, (left + up) // 2, nearest], 0)
        out[rows + 1, columns + 1] = (raw[rows, columns] + base) % 256
    return out[1:, 1:].astype(np.uint8).reshape(height, width * step)[:, : stored.shape[1] - 1]

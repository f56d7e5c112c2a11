"""Frames between the gateway and a replica, over a unix stream socket. Standard library only.

A frame is two little-endian unsigned 32-bit lengths (header, body), the header as UTF-8 JSON, the body.

Request header: ``id``; ``kind`` = ``columns`` (body: the columns' bytes, one after the other, in the
order of ``columns`` = [[name, type, number of bytes], …]; ``rows`` = rows of each request of the batch;
optional ``index``), ``json`` or ``csv`` (body: a client's body as it came, one request); optional ``params``.
Columns of type double, float, long, integer and boolean are packed in the machine's own byte order (both
ends are on one machine) with 8, 4, 8, 4 and 1 bytes a value; others are a JSON list.

Reply header: ``id``; ``results`` = [[ok, number of bytes], …], one for each request; ``batchable`` =
whether batches may go on. The body holds JSON: the predictions, or ``{"error_code", "message"}``.
"""

from __future__ import annotations

import json
import socket
import struct
from typing import Any

LENGTHS = struct.Struct("<II")
MAX_HEADER = 64 * 1024 * 1024
MAX_BODY = 1024 * 1024 * 1024
NUMPY_TYPES = {"double": "f8", "float": "f4", "long": "i8", "integer": "i4", "boolean": "?"}
"""numpy's names of the column types that travel as packed values."""


class FrameError(ValueError):
    """The other side sent something that is not a frame."""


def pack(header: dict[str, Any], body: bytes) -> bytes:
    """Return one frame."""
    head = json.dumps(header, separators=(",", ":")).encode()
    return b"".join((LENGTHS.pack(len(head), len(body)), head, body))


def lengths(data: bytes | bytearray | memoryview) -> tuple[int, int]:
    """Return (bytes of the header, bytes of the body) from a frame's first 8 bytes."""
    head, body = LENGTHS.unpack_from(data)
    if head > MAX_HEADER or body > MAX_BODY:
        raise FrameError(f"a frame of {head} + {body} bytes is larger than any that is sent")
    return head, body


def read_frame(connection: socket.socket) -> tuple[dict[str, Any], memoryview] | None:
    """Read one frame from a blocking socket; None when the other side closed between two frames."""
    start = _read(connection, LENGTHS.size)
    if start is None:
        return None
    head_size, body_size = lengths(start)
    head = _read(connection, head_size)
    body = _read(connection, body_size)
    if head is None or body is None:
        raise FrameError("the connection ended inside a frame")
    return json.loads(bytes(head)), body


def _read(connection: socket.socket, size: int) -> memoryview | None:
    """Read exactly *size* bytes; None when the connection ends before the first of them."""
    buffer = memoryview(bytearray(size))
    done = 0
    while done < size:
        count = connection.recv_into(buffer[done:])
        if count == 0:
            if done == 0:
                return None
            raise FrameError("the connection ended inside a frame")
        done += count
    return buffer

"""Messages between a zygote and who asks it to fork: four bytes of length (big-endian), then a JSON object.

File descriptors travel beside the first byte. A message is read to its last byte and no further, so that the next one
can be read by another process.
"""

from __future__ import annotations

import array
import json
import os
import socket
import struct
from collections.abc import Sequence
from typing import Any

LENGTH = struct.Struct("!I")
MOST_BYTES = 16 * 1024 * 1024
MOST_DESCRIPTORS = 8


class WireError(Exception):
    """The other side does not keep to the protocol, or has gone."""


def send(connection: socket.socket, message: dict[str, Any], descriptors: Sequence[int] = ()) -> None:
    """Send *message*, with copies of *descriptors*. Raises OSError."""
    data = json.dumps(message).encode()
    data = LENGTH.pack(len(data)) + data
    sent = socket.send_fds(connection, [data], list(descriptors)) if descriptors else 0
    connection.sendall(data[sent:])


def receive(connection: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """The next message and the descriptors that came with it. Raises WireError and OSError (TimeoutError too)."""
    descriptors: list[int] = []
    try:
        (length,) = LENGTH.unpack(_exactly(connection, LENGTH.size, descriptors))
        if length > MOST_BYTES:
            raise WireError(f"a message of {length} bytes")
        message = json.loads(_exactly(connection, length, descriptors))
        if not isinstance(message, dict):
            raise WireError("a message that is no object")
    except BaseException as error:
        for descriptor in descriptors:
            os.close(descriptor)
        if isinstance(error, ValueError):
            raise WireError(str(error)) from error
        raise
    return message, descriptors


def _exactly(connection: socket.socket, size: int, descriptors: list[int]) -> bytes:
    """*size* bytes; what comes of descriptors is added to the list, closed on exec."""
    parts: list[bytes] = []
    room = socket.CMSG_LEN(MOST_DESCRIPTORS * array.array("i").itemsize)
    while size:
        data, ancillary, _, _ = connection.recvmsg(min(size, 1 << 20), room, socket.MSG_CMSG_CLOEXEC)
        for level, kind, content in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                numbers = array.array("i")
                numbers.frombytes(content[: len(content) - len(content) % numbers.itemsize])
                descriptors.extend(numbers)
        if not data:
            raise WireError("the other side has gone")
        parts.append(data)
        size -= len(data)
    return b"".join(parts)


def peer_uid(connection: socket.socket) -> int:
    """The account of the process at the other end (Linux)."""
    size = struct.calcsize("3i")
    _, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return int(uid)

"""Keeps other users of the host away from a kernel's output pipe.

ipykernel lets forked children print through a loopback TCP port, whatever its channels are. A random key guards it, but
every user of the host can reach it. Here it becomes what the kernel's channels are: a unix socket, or encrypted.
"""

from __future__ import annotations

import logging
import os
from typing import Any

log = logging.getLogger(__name__)
NEEDED = ("_setup_pipe_in", "_setup_pipe_out", "_handle_pipe_msg")
LOOPBACK = "tcp://127.0.0.1"


def use_unix_socket(prefix: str) -> None:
    """Bind the pipe to ``<prefix>-output``, where *prefix* is the kernel's ``ip``."""
    _replace(f"ipc://{prefix}-output", {}, {})


def encrypt(public: bytes, secret: bytes) -> None:
    """Let nobody send who has not the kernel's own key pair (CurveZMQ)."""
    pair = {"curve_publickey": public, "curve_secretkey": secret}
    _replace(LOOPBACK, {**pair, "curve_server": True}, {**pair, "curve_serverkey": public})


def _replace(address: str, inside: dict[str, Any], outside: dict[str, Any]) -> None:
    """Make ipykernel set its pipe up at *address*, with these options of the kernel's socket and of a child's."""
    import zmq
    from ipykernel.iostream import IOPubThread
    from zmq.eventloop.zmqstream import ZMQStream

    if not all(hasattr(IOPubThread, name) for name in NEEDED):
        log.warning("this ipykernel is not known: output of forked processes stays on an open loopback port")
        return

    def made(context: Any, kind: int, linger: int, options: dict[str, Any]) -> Any:
        socket = context.socket(kind)
        for name, value in {"linger": linger, **options}.items():
            setattr(socket, name, value)
        return socket

    def set_up_in(thread: Any) -> None:
        thread._pipe_uuid = os.urandom(16)
        socket = made(thread.socket.context, zmq.PULL, 0, inside)
        socket.bind(f"{address}:*" if address == LOOPBACK else address)
        thread._pipe_address = socket.getsockopt_string(zmq.LAST_ENDPOINT)
        thread._pipe_in = ZMQStream(socket, thread.io_loop)
        thread._pipe_in.on_recv(thread._handle_pipe_msg)

    def set_up_out(thread: Any) -> tuple[Any, Any]:
        context = zmq.Context()  # a context does not survive the fork
        socket = made(context, zmq.PUSH, 3000, outside)  # milliseconds, as ipykernel waits
        socket.connect(thread._pipe_address)
        return context, socket

    IOPubThread._setup_pipe_in = set_up_in
    IOPubThread._setup_pipe_out = set_up_out

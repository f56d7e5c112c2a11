"""Keeps the output pipe of a kernel on unix sockets off TCP.

ipykernel lets forked children print through a loopback TCP port even when its channels are unix sockets. A
random key guards it, but every user of the host can reach it. Here it becomes a unix socket like the others.
"""

from __future__ import annotations

import logging
import os
from typing import Any

log = logging.getLogger(__name__)
NEEDED = ("_setup_pipe_in", "_setup_pipe_out", "_handle_pipe_msg")


def use_unix_socket(prefix: str) -> None:
    """Bind the pipe to ``<prefix>-output``, where *prefix* is the kernel's ``ip``."""
    import zmq
    from ipykernel.iostream import IOPubThread
    from zmq.eventloop.zmqstream import ZMQStream

    if not all(hasattr(IOPubThread, name) for name in NEEDED):
        log.warning("this ipykernel is not known: output of forked processes stays on a loopback port")
        return
    address = f"ipc://{prefix}-output"

    def set_up_in(thread: Any) -> None:
        thread._pipe_uuid = os.urandom(16)
        socket = thread.socket.context.socket(zmq.PULL)
        socket.linger = 0
        socket.bind(address)
        thread._pipe_in = ZMQStream(socket, thread.io_loop)
        thread._pipe_in.on_recv(thread._handle_pipe_msg)

    def set_up_out(thread: Any) -> tuple[Any, Any]:
        context = zmq.Context()  # a context does not survive the fork
        socket = context.socket(zmq.PUSH)
        socket.linger = 3000  # milliseconds, as ipykernel waits
        socket.connect(address)
        return context, socket

    IOPubThread._setup_pipe_in = set_up_in
    IOPubThread._setup_pipe_out = set_up_out

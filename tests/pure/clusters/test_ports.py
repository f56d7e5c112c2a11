"""A restarted scheduler gets its old port when it can."""

from __future__ import annotations

import asyncio
import socket

from himalia_server.clusters.backends.local import choose_port, free_port


def test_a_free_port_is_kept() -> None:
    port = free_port(0)
    assert port is not None
    assert asyncio.run(choose_port(port)) == port


def test_a_port_in_use_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        assert free_port(taken) is None
        assert asyncio.run(choose_port(taken)) != taken

"""The Jupyter server ends, whatever becomes of its connections to the service."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from types import SimpleNamespace

import pytest

from himalia_server import extension
from himalia_server.extension import HimaliaExtension


async def hangs() -> None:
    await asyncio.Event().wait()


async def fails() -> None:
    raise OSError("the connection is in no state to be closed")


@pytest.mark.parametrize("close", [hangs, fails])
def test_a_connection_that_cannot_be_closed_holds_nobody_up(
    close: Callable[[], Awaitable[None]], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(extension, "CLOSE_SECONDS", 0.01)
    fake_link = SimpleNamespace(close=close)
    stopping = HimaliaExtension(log=logging.getLogger("stopping"))
    stopping.link = fake_link
    with caplog.at_level(logging.WARNING, "stopping"):
        asyncio.run(stopping.stop_extension())
    assert "were left to the system" in caplog.text

"""How questions that come together share one look for the service."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from himalia_server import __version__
from himalia_server.extension import link
from himalia_server.extension.link import Link, NotRunning, Upstream
from himalia_server.service.identity import ProcessIdentity
from himalia_server.service.lifecycle import Found
from himalia_server.service.site import Site


def test_who_joins_a_look_that_saw_nothing_looks_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = Found("http://127.0.0.1:1", __version__, ProcessIdentity.current(), Site.open(tmp_path))
    running = Upstream(found, "token")
    looked, may_end = threading.Event(), threading.Event()

    def find() -> Upstream | None:
        if looked.is_set():
            return running
        looked.set()
        may_end.wait(20)
        return None

    monkeypatch.setattr(link, "_find", find)
    monkeypatch.setattr(link, "_look", lambda: {"state": "stopped", "crashed": False})

    async def both() -> None:
        one = Link()
        before = asyncio.create_task(one.upstream())
        await asyncio.to_thread(looked.wait, 20)
        after = asyncio.create_task(one.upstream())
        await asyncio.sleep(0)
        may_end.set()
        with pytest.raises(NotRunning):
            await before
        assert await after is running

    asyncio.run(both())

"""When a kernel counts as ready: it has answered, and what it publishes is heard."""

from __future__ import annotations

import asyncio
from collections import deque
from queue import Empty
from typing import Any

import pytest

from himalia_kernels import ready
from himalia_kernels.ready import wait_until_heard


class Channel:
    """Messages that are there."""

    def __init__(self) -> None:
        self.messages: deque[dict[str, Any]] = deque()

    async def get_msg(self, timeout: float) -> dict[str, Any]:  # noqa: ASYNC109 (as Jupyter has it)
        if not self.messages:
            raise Empty
        return self.messages.popleft()


class Client:
    """A kernel's client. Nobody listens yet at the first *deaf* questions; *silent* questions are not answered."""

    def __init__(self, deaf: int = 0, silent: int = 0, alive: bool = True) -> None:
        self.shell_channel, self.iopub_channel = Channel(), Channel()
        self.deaf, self.silent, self.alive, self.asked = deaf, silent, alive, 0
        self.handled: list[str] = []

    def kernel_info(self) -> str:
        self.asked += 1
        parent = {"msg_id": str(self.asked)}
        if self.asked > self.silent:
            self.shell_channel.messages.append({"msg_type": "kernel_info_reply", "parent_header": parent})
            if self.asked > self.deaf:
                for state in ("busy", "idle"):
                    content = {"execution_state": state}
                    self.iopub_channel.messages.append(
                        {"msg_type": "status", "parent_header": parent, "content": content}
                    )
        return str(self.asked)

    async def is_alive(self) -> bool:
        return self.alive

    def _handle_kernel_info_reply(self, message: dict[str, Any]) -> None:
        self.handled.append(message["parent_header"]["msg_id"])


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ready, "HEAR_SECONDS", 0.01)


def test_it_is_ready_when_it_is_heard_and_nothing_is_left_unread() -> None:
    client = Client()
    client.iopub_channel.messages.append(
        {"msg_type": "status", "parent_header": {}, "content": {"execution_state": "starting"}}
    )
    assert asyncio.run(wait_until_heard(client, 10))
    assert (client.asked, client.handled, len(client.iopub_channel.messages)) == (1, ["1"], 0)


def test_one_whose_first_messages_were_missed_is_asked_again() -> None:
    client = Client(deaf=2, silent=1)
    assert asyncio.run(wait_until_heard(client, 10))
    assert client.handled == ["3"]


def test_one_that_publishes_nothing_is_left_to_others() -> None:
    client = Client(deaf=100)
    assert not asyncio.run(wait_until_heard(client, 10))
    assert client.handled == []


def test_one_that_has_died_or_never_answers_is_told() -> None:
    with pytest.raises(RuntimeError, match="died"):
        asyncio.run(wait_until_heard(Client(silent=100, alive=False), 10))
    with pytest.raises(RuntimeError, match="respond in 0 seconds"):
        asyncio.run(wait_until_heard(Client(silent=100), 0))

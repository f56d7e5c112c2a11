"""Waits until a kernel answers and is heard, no longer.

jupyter_client's own ``wait_for_ready`` ends by listening for a fifth of a second whether something else comes, which is
half of the time that a forked kernel needs for a short notebook.
"""

from __future__ import annotations

import time
from queue import Empty
from typing import Any

from nbclient.util import ensure_async

ASK_SECONDS = 1.0
HEAR_SECONDS = 0.2
TRIES = 3


class KernelSilent(RuntimeError):
    """The kernel lives but has not answered in time."""


async def wait_until_heard(client: Any, seconds: float) -> bool:
    """Ask the kernel of *client* (its channels are open) until it has answered and published that it is idle again.

    From then on nothing that it publishes is missed, and nothing that came before is left unread. Returns False when it
    has answered TRIES times and published nothing that belongs to the question.

    Raises:
        KernelSilent: it does not answer within *seconds*.
        RuntimeError: it has died.
    """
    deadline = time.monotonic() + seconds
    answered = 0
    while answered < TRIES:
        client.kernel_info()
        reply = await _answer(client)
        if reply is not None:
            answered += 1
            if await _idle(client, reply["parent_header"].get("msg_id")):
                client._handle_kernel_info_reply(reply)
                return True
        elif not await ensure_async(client.is_alive()):
            raise RuntimeError("Kernel died before replying to kernel_info")
        if time.monotonic() > deadline:
            raise KernelSilent(f"Kernel didn't respond in {seconds:g} seconds")
    return False


async def _answer(client: Any) -> dict[str, Any] | None:
    """The reply to a question, perhaps to one before the last."""
    try:
        message: dict[str, Any] = await ensure_async(client.shell_channel.get_msg(timeout=ASK_SECONDS))
    except Empty:
        return None
    return message if message["msg_type"] == "kernel_info_reply" else None


async def _idle(client: Any, question: str | None) -> bool:
    """Whether the kernel is heard to be idle again after *question*."""
    deadline = time.monotonic() + HEAR_SECONDS
    while (left := deadline - time.monotonic()) > 0:
        try:
            message = await ensure_async(client.iopub_channel.get_msg(timeout=left))
        except Empty:
            return False
        mine = message["parent_header"].get("msg_id") == question
        if mine and message["msg_type"] == "status" and message["content"].get("execution_state") == "idle":
            return True
    return False

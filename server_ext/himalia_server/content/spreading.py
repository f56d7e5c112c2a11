"""Work on many files, spread over the processors."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait

from .files import Tick, no_tick
from .names import Cancelled

CHUNK_FILES, CHUNK_BYTES = 512, 8 << 20
"""Small files are handed out together."""
LOOK_SECONDS = 0.1

Progress = Callable[[int, int], None]
"""Told bytes done and bytes in all."""


def processors() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def spread(
    sizes: Sequence[int],
    work: Callable[[int, Tick], None],
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> None:
    """Call `work(index, tick)` for each file, the largest first. *sizes*: bytes of each.

    *progress* and *cancelled* are called by this thread only, some times a second. `tick` takes bytes that are done
    in the middle of a file, and raises when the rest is not wanted.

    Raises:
        Cancelled: *cancelled* said so. Otherwise what *work* raised first; the rest is not begun.
    """
    chunks = _chunks(sizes)
    if len(chunks) <= 1 and progress is None and cancelled is None:
        for index in chunks[0] if chunks else ():
            work(index, no_tick)
        return
    total, lock, stopped = sum(sizes), threading.Lock(), threading.Event()
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        with lock:
            done += count

    def one(chunk: Sequence[int]) -> None:
        for index in chunk:
            told = 0

            def tick(count: int) -> None:
                nonlocal told
                told += count
                advance(count)
                if stopped.is_set():
                    raise Cancelled("The rest was not wanted.")

            if stopped.is_set():
                return
            work(index, tick)
            advance(sizes[index] - told)

    with ThreadPoolExecutor(min(processors(), len(chunks)) or 1, thread_name_prefix="content") as pool:
        left = {pool.submit(one, chunk) for chunk in chunks}
        try:
            while left:
                ended, left = wait(left, timeout=LOOK_SECONDS, return_when=FIRST_EXCEPTION)
                for future in ended:
                    future.result()
                if progress is not None:
                    progress(min(done, total), total)
                if cancelled is not None and left and cancelled():
                    raise Cancelled("It was cancelled.")
        finally:
            stopped.set()
    if progress is not None:
        progress(total, total)


def _chunks(sizes: Sequence[int]) -> list[list[int]]:
    """Indices, the largest first, alone or with others."""
    chunks: list[list[int]] = []
    held = CHUNK_BYTES
    # sorted by kind only: small files stay in the order in which they lie
    large = sorted((i for i, size in enumerate(sizes) if size >= CHUNK_BYTES), key=lambda i: -sizes[i])
    chunks.extend([i] for i in large)
    for index, size in enumerate(sizes):
        if size >= CHUNK_BYTES:
            continue
        if held >= CHUNK_BYTES or len(chunks[-1]) >= CHUNK_FILES:
            chunks.append([])
            held = 0
        chunks[-1].append(index)
        held += size
    return chunks

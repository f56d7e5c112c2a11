"""Progress of a project that is being made: the service tells it in events that name the request."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from .api import Api
from .output import Failure, Progress


@contextmanager
def making(api: Api, title: str, *, quiet: bool) -> Iterator[None]:
    """Show how far the request is that is made meanwhile."""
    progress = Progress(1, quiet=quiet)
    done = threading.Event()
    before = api.get("/service")["last_event"] if not quiet else 0

    def follow() -> None:
        watcher = Api(api.site, api.found)
        try:
            for event in watcher.events(before):
                if done.is_set():
                    return
                if event["topic"] == "project.making" and event["subject"] == api.request_id:
                    percent = event["data"]["percent"]
                    progress.update(event["data"]["step"] + (f" {percent} %" if percent is not None else ""))
        except Failure:
            return  # the request itself will say what is wrong

    try:
        progress.step(title)
        if not quiet:
            threading.Thread(target=follow, daemon=True).start()
        yield
        done.set()
        progress.done("done")
    finally:
        done.set()
        progress.close()

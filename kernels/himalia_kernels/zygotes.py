"""The zygotes of a folder: told, started when a stage has missed one, ended with the site."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

END_SECONDS = 5.0
FORKED_NAMES = ("himalia-kernel", "himalia-stage")  # as `_zygote_child.become` calls its process


def start_wanted(folder: Path) -> int:
    """Start the zygotes that `zygote.Zygote.want` asked for in *folder*; returns how many.

    To be called by a process whose children may outlive the work they were started for: not by a stage's.
    """
    started = 0
    for file in folder.glob("*.want"):
        try:
            wanted = json.loads(file.read_text("utf-8"))
            file.unlink()
            log = os.open(wanted["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        except (OSError, ValueError, KeyError):
            continue  # another has taken it
        try:
            subprocess.run(
                wanted["command"],
                env=wanted["environment"],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                check=False,
            )
        finally:
            os.close(log)
        started += 1
    return started


def all_facts(folder: Path) -> list[dict[str, Any]]:
    """The facts of every zygote in *folder* that lives or has refused, newest first."""
    found = [facts for file in folder.glob("*.json") if (facts := read_facts(file)) is not None]
    living = [facts for facts in found if facts.get("state") == "refused" or alive(facts.get("pid"))]
    return sorted(living, key=lambda facts: -float(facts.get("started_at", 0.0)))


def end_all(folder: Path) -> int:
    """End the zygotes of *folder*, also those that only begin to import or are stale; what they have forked goes on.

    Returns how many have ended; one that does not within END_SECONDS is left, and ends when it misses its socket.
    """
    for file in folder.glob("*.want"):
        file.unlink(missing_ok=True)
    asked: set[int] = set()
    deadline = time.monotonic() + END_SECONDS
    while (left := _serving(folder)) and time.monotonic() < deadline:
        for pid in left - asked:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        asked |= left
        time.sleep(0.02)
    return len(asked - left)


def _serving(folder: Path) -> set[int]:
    """The processes of this account that are zygotes of *folder*, by what the system says of them.

    Their facts do not tell of one that has not written them yet, and an id in them may be another process's by now.
    """
    found = set()
    for place in Path("/proc").glob("[0-9]*"):
        try:
            command = (place / "cmdline").read_bytes().split(b"\0")
            if len(command) < 3 or not command[1].endswith(b"/zygote.py"):
                continue
            # a kernel that found no room there for its own command has its name all the same
            forked = (place / "comm").read_text().strip() in FORKED_NAMES
            same = json.loads(command[2])["folder"] == str(folder) and place.stat().st_uid == os.getuid()
        except (OSError, ValueError, LookupError, TypeError):
            continue  # it has ended, or is something else
        if same and not forked:
            found.add(int(place.name))
    return found


def read_facts(path: Path) -> dict[str, Any] | None:
    """The facts in a file, or None when there are none."""
    try:
        facts = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return facts if isinstance(facts, dict) else None


def alive(pid: object) -> bool:
    """Whether a process has that id."""
    return isinstance(pid, int) and Path(f"/proc/{pid}").exists()

"""A new project's folder filled with a clone of a git repository."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from ...service.problems import Invalid, Unavailable
from .filling import Fill, Progress

CLONE_SECONDS = 900.0
PROTOCOLS = ("https", "http", "ssh", "file")
_SCP = re.compile(r"[A-Za-z0-9_.-]+@[A-Za-z0-9_.-]+:[^/\\ ][^ ]*|[A-Za-z0-9_.-]+@[A-Za-z0-9_.-]+:/[^ ]*")
_STEP = re.compile(r"^(?:remote: )?([A-Z][a-z ]+):\s+(\d+)%")
_SECRET = re.compile(r"(?<=://)[^/@\s]+@")


def require_address(address: str) -> None:
    """Refuse what is no address of a repository, or holds a password. What is refused is not repeated.

    Raises:
        Invalid: it is.
    """
    if address.startswith("-") or any(char.isspace() or not char.isprintable() for char in address):
        raise Invalid("This is not the address of a git repository.", hint=_HOW, field="git")
    if address.startswith("/") or _SCP.fullmatch(address):
        return
    try:
        parts = urlsplit(address)
        login = parts.username is not None or parts.password is not None
    except ValueError:
        raise Invalid("This is not the address of a git repository.", hint=_HOW, field="git") from None
    if parts.scheme not in PROTOCOLS or not (parts.netloc or parts.scheme == "file"):
        raise Invalid("This is not the address of a git repository.", hint=_HOW, field="git")
    asks = parts.scheme in ("http", "https") and (parts.query or parts.fragment)  # where some hosts take a token
    if parts.password is not None or asks or (login and parts.scheme != "ssh"):
        raise Invalid(
            "The address holds a password or a token, or may (after ? or #), which would be kept in the repository's "
            "settings.",
            hint="Leave it out: git asks its credential helper (git config credential.helper), or use an ssh address.",
            field="git",
        )


_HOW = "For example https://git.example/team/project.git, git@git.example:team/project.git, or an absolute folder."


def clone(address: str, stop: threading.Event) -> Fill:
    """Fills a folder with a clone of a git repository.

    The filling raises Invalid when git refuses, and Unavailable when there is no git or it takes too long.
    """
    require_address(address)

    def fill(folder: Path, progress: Progress) -> None:
        _run_git(["clone", "--progress", "--", address, str(folder)], progress, stop)

    return fill


def _run_git(arguments: list[str], progress: Progress, stop: threading.Event) -> None:
    env = {
        name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "HIMALIA_", "SSH_ASKPASS"))
    }
    env |= {
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ALLOW_PROTOCOL": ":".join(PROTOCOLS),
        "GIT_SSH_COMMAND": os.environ.get("GIT_SSH_COMMAND", "ssh") + " -o BatchMode=yes",
        "LC_ALL": "C",
    }
    try:
        process = subprocess.Popen(
            ["git", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=env,
            start_new_session=True,
        )
    except FileNotFoundError:
        raise Unavailable("git is not installed here.", hint="Install git, then try again.") from None
    ended = threading.Event()
    late = threading.Event()
    watch = threading.Thread(target=_watch, args=(process.pid, ended, late, stop), daemon=True)
    watch.start()
    said: list[str] = []
    try:
        assert process.stderr is not None
        for line in _lines(process.stderr.fileno()):
            step = _STEP.match(line)
            if step:
                progress(step[1], int(step[2]))
            else:
                said = [*said, line][-5:]
        code = process.wait()
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        ended.set()
        if process.stderr is not None:
            process.stderr.close()
    if late.is_set():
        raise Unavailable(
            f"git has not finished after {CLONE_SECONDS / 60:.0f} minutes, or the service is being stopped.",
            hint="Clone it by hand, then: himalia project create NAME --path FOLDER",
        )
    if code != 0:
        why = [line for line in said if line.startswith(("fatal:", "error:", "ERROR"))] or said[-2:]
        text = _SECRET.sub("", "; ".join(why)) or f"exit code {code}"
        raise Invalid(
            f"git could not clone the repository: {text.rstrip('.')}.",
            hint="Try the same address with git clone in a terminal: what works there works here, except passwords "
            "that are typed in.",
            field="git",
        )


def _watch(pid: int, ended: threading.Event, late: threading.Event, stop: threading.Event) -> None:
    """End a git that takes too long, or that nobody waits for any more."""
    passed = 0.0
    while not ended.wait(0.5):
        passed += 0.5
        if passed > CLONE_SECONDS or stop.is_set():
            late.set()
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
            return


def _lines(descriptor: int) -> Iterator[str]:
    """Lines as they come; git ends those that it writes over with a carriage return."""
    rest = b""
    while block := os.read(descriptor, 4096):
        *whole, rest = re.split(rb"[\r\n]", rest + block)
        yield from (line.decode(errors="replace").strip() for line in whole if line.strip())
    if rest.strip():
        yield rest.decode(errors="replace").strip()

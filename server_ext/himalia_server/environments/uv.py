"""uv, run by a build: its words go into the log without passwords, and tell how far it is."""

from __future__ import annotations

import ctypes
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from uv import find_uv_bin

from .faults import Fault, explain
from .lock import CREDENTIALS

ALWAYS = ("--color", "never", "--no-progress")
KEPT_LINES = 400
"""Of what uv says, for finding out why it failed."""


class BuildFault(Exception):
    """The build cannot go on."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.sentence)
        self.fault = fault


def uv_program() -> str:
    """The uv of this installation."""
    return str(find_uv_bin())


def redacted(text: str) -> str:
    """*text* without names and passwords in addresses."""
    return CREDENTIALS.sub("***@", text)


def say(text: str) -> None:
    """A line of the log."""
    sys.stdout.write(redacted(text) + "\n")
    sys.stdout.flush()


class Uv:
    """Runs uv in *folder* with the variables *env*; *tell* hears of downloads and builds."""

    def __init__(self, folder: Path, env: dict[str, str], tell: Callable[[str], None]) -> None:
        self.program, self.folder, self.env, self.tell = uv_program(), folder, env, tell

    def __call__(self, *arguments: str) -> None:
        """Run it to its end.

        Raises:
            BuildFault: it failed; the reason is for a person.
        """
        command = [self.program, *arguments, *ALWAYS]
        say("$ uv " + " ".join(Path(word).name if word.startswith("/") else word for word in arguments))
        process = subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            preexec_fn=_end_with_us,
        )
        assert process.stdout is not None
        lines: list[str] = []
        large, done = 0, 0
        for line in process.stdout:
            line = line.rstrip("\n")
            say(line)
            lines = [*lines[-KEPT_LINES:], line]
            large += bool(re.match(r"Downloading \S+ \(", line))
            done += bool(re.match(r"\s+Downloaded \S+", line))
            what = re.match(r"\s*(Downloading|Building|Updating|Prepared|Bytecode compiled) ?(.*)", line)
            if what and what[1] == "Downloading":
                self.tell(f"downloading {done + 1} of {large} large packages: {what[2]}")
            elif re.match(r"\s+Downloaded \S+", line) and done < large:
                self.tell(f"downloading {done + 1} of {large} large packages")
            elif what and what[1] == "Building":
                self.tell(f"building {redacted(what[2])}, which has no wheel for this machine")
            elif what and what[1] == "Prepared":
                self.tell("installing")
        if process.wait() != 0:
            output = redacted("\n".join(lines))
            raise BuildFault(explain(output[output.rfind("\nerror:") + 1 :] if "\nerror:" in output else output))


def _end_with_us() -> None:
    """uv does not go on alone when the build is killed (Linux)."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)

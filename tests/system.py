"""Programs of the system that tests need: found, or installed with apt-get where we may."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence


def find_or_install(what: str, find: Callable[[], str | None], packages: Sequence[str], *, elsewhere: str) -> str:
    """What *find* finds, after Debian's *packages* were installed if it found nothing at first.

    *what*: the program's name for people; *elsewhere*: how to install it by hand on other systems.

    Raises:
        RuntimeError: it is not there and cannot be installed; the text says what to do.
    """
    return find() or _install(what, find, packages, elsewhere)


def _install(what: str, find: Callable[[], str | None], packages: Sequence[str], elsewhere: str) -> str:
    """Install with apt-get, as root or with a sudo that asks nothing."""
    said = [f"{what} is missing. Install it (Debian, Ubuntu: apt-get install {packages[0]}; {elsewhere})"]
    apt = shutil.which("apt-get")
    if apt is None:
        raise RuntimeError(f"{said[0]}; here is no apt-get to do it with.")
    prefix = [] if os.geteuid() == 0 else ["sudo", "--non-interactive"]
    if prefix and not may_sudo():
        raise RuntimeError(f"{said[0]}; this account is not root and has no sudo without a password.")
    # apt's helpers run as another account, to which a private TMPDIR is closed
    environment = {name: value for name, value in os.environ.items() if name != "TMPDIR"}
    installing = ["install", "-y", "--no-install-recommends", *packages]
    for step in (installing, ["update"], installing):
        command = [*prefix, apt, "-qq", *step]
        done = subprocess.run(
            command,
            env=environment | {"DEBIAN_FRONTEND": "noninteractive"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            said.append(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout[-2000:]}")
        if path := find():
            return path
    raise RuntimeError("\n".join(said))


def may_sudo() -> bool:
    """Whether sudo works without a password."""
    return shutil.which("sudo") is not None and subprocess.run(["sudo", "-n", "true"], check=False).returncode == 0

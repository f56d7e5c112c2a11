"""The system's Chromium: found, or installed by the system's package manager where we may."""

from __future__ import annotations

import os
import shutil
import subprocess

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PACKAGES = ["chromium", "fonts-dejavu-core"]
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def find_or_install() -> str:
    """The path of Chromium.

    Raises:
        RuntimeError: there is none and it cannot be installed; the text says what to do.
    """
    return find() or install()


def find() -> str | None:
    """The first Chromium on PATH."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def install() -> str:
    """Install Chromium with apt-get, as root or with a sudo that asks nothing."""
    said = ["Chromium is missing. Install it (Debian, Ubuntu: apt-get install chromium; macOS: brew install chromium)"]
    apt = shutil.which("apt-get")
    if apt is None:
        raise RuntimeError(f"{said[0]}; here is no apt-get to do it with.")
    prefix = [] if os.geteuid() == 0 else ["sudo", "--non-interactive"]
    if prefix and not may_sudo():
        raise RuntimeError(f"{said[0]}; this account is not root and has no sudo without a password.")
    # apt's helpers run as another account, to which a private TMPDIR is closed
    environment = {name: value for name, value in os.environ.items() if name != "TMPDIR"}
    installing = ["install", "-y", "--no-install-recommends", *PACKAGES]
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

"""The system's Chromium."""

from __future__ import annotations

import shutil

from tests import system

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
    return system.find_or_install("Chromium", find, PACKAGES, elsewhere="macOS: brew install chromium")


def find() -> str | None:
    """The first Chromium on PATH."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)

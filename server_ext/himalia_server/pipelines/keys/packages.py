"""What is installed in an interpreter's environment, as one digest."""

from __future__ import annotations

import hashlib
import sys
import sysconfig
import threading
from functools import lru_cache
from pathlib import Path


class PackagesReader:
    """Digests of environments by interpreter, read again when a folder of packages has changed."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[tuple[int, ...], str]] = {}
        self._lock = threading.Lock()

    def digest(self, python: str) -> str:
        """A digest of the names and versions of what is installed for *python*, which need not be run for it."""
        try:
            folders = _site_packages(python)
            state = tuple(folder.stat().st_mtime_ns for folder in folders)
        except FileNotFoundError:  # it was made anew
            _site_packages.cache_clear()
            folders = _site_packages(python)
            state = tuple(folder.stat().st_mtime_ns for folder in folders)
        if not folders:  # it may come to be
            _site_packages.cache_clear()
        with self._lock:
            kept = self._known.get(python)
            if kept is None or kept[0] != state:
                names = sorted(
                    entry.name
                    for folder in folders
                    for entry in folder.iterdir()
                    if entry.name.endswith((".dist-info", ".egg-info"))
                )
                version = folders[0].parent.name if folders else python
                text = "\n".join([version, *names])
                kept = self._known[python] = (state, "packages:" + hashlib.sha256(text.encode()).hexdigest())
            return kept[1]


@lru_cache(maxsize=256)
def _site_packages(python: str) -> tuple[Path, ...]:
    if Path(python) == Path(sys.executable):
        found = [Path(sysconfig.get_path("purelib")), Path(sysconfig.get_path("platlib"))]
    else:
        found = sorted(Path(python).parent.parent.glob("lib*/python3*/site-packages"))
    return tuple(folder for folder in dict.fromkeys(found) if folder.is_dir())

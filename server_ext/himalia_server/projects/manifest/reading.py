"""`himalia.toml`: the project's only hand-written file. Faults are named with line and key."""

from __future__ import annotations

import os
import stat
from functools import lru_cache
from pathlib import Path

from ...service.problems import Invalid
from .faults import Fault, examine, sentence
from .tables import NAME, Manifest

MAX_BYTES = 1 << 20


class ManifestFault(Invalid):
    """A fault in a manifest; `detail` begins with file, line and key."""

    title = "The project's himalia.toml has a fault"


def read_manifest(folder: Path) -> Manifest:
    """Read and check the manifest of a project folder. What is returned is shared: do not change it.

    Raises:
        ManifestFault: it is absent, does not parse, or says something that cannot be; line and key are named.
    """
    return parse_manifest(read_text(folder), NAME)


def read_text(folder: Path) -> str:
    """The text of a project's manifest.

    Raises:
        ManifestFault: it is absent, or is no ordinary file of text.
    """
    path = folder / NAME
    try:
        return _read(path)
    except FileNotFoundError:
        raise ManifestFault(
            f"{path} does not exist.",
            hint='Every project has a himalia.toml with at least [project] and name = "…".',
        ) from None
    except (OSError, ValueError) as error:
        raise ManifestFault(f"{path} cannot be read: {error}.") from error


def _read(path: Path) -> str:
    if not path.resolve().is_relative_to(path.parent.resolve()):
        raise ValueError("it is a link that leads out of the project")
    # without waiting, should somebody have put a pipe there
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("it is no ordinary file")
        if status.st_size > MAX_BYTES:
            raise ValueError(f"it has more than {MAX_BYTES >> 20} MiB")
        return file.read().decode("utf-8")


class ManifestCache:
    """Manifests as last read, read again when the file has changed. Thread-safe: entries are replaced whole."""

    def __init__(self, size: int = 4096) -> None:
        self.size = size
        self._known: dict[Path, tuple[tuple[int, ...], Manifest | ManifestFault]] = {}

    def read(self, folder: Path) -> Manifest:
        """As `read_manifest`. What is returned is shared: do not change it."""
        try:
            status = (folder / NAME).stat()
        except OSError:
            return read_manifest(folder)
        state = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        kept = self._known.get(folder)
        if kept is None or kept[0] != state:
            if len(self._known) >= self.size:
                self._known = {}
            found: Manifest | ManifestFault
            try:
                found = read_manifest(folder)
            except ManifestFault as fault:
                found = fault
            kept = self._known[folder] = (state, found)
        if isinstance(kept[1], ManifestFault):
            raise kept[1].with_traceback(None)
        return kept[1]


@lru_cache(maxsize=64)
def _examined(text: str) -> tuple[Manifest | None, tuple[Fault, ...]]:
    manifest, faults = examine(text)
    return manifest, tuple(faults)


def parse_manifest(text: str, file: str = NAME) -> Manifest:
    """Check the text of a manifest. What is returned is shared: do not change it.

    Raises:
        ManifestFault: see `read_manifest`; the first of several.
    """
    manifest, faults = _examined(text)
    if faults:
        first = faults[0]
        raise ManifestFault(sentence(first, file), hint=first.hint, field=first.key or "toml")
    assert manifest is not None
    return manifest

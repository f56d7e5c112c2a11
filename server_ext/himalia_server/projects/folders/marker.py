"""The mark that a project's folder bears, by which it is known again after it was moved."""

from __future__ import annotations

import json
import logging
import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..manifest import LOCAL, schema_text

log = logging.getLogger(__name__)
FILE = ".himalia/project.json"
IGNORED = "# What this machine knows of the project. The lock of its environment belongs to its code.\n*\n!*.lock\n"
MAX_BYTES = 4096


@dataclass(frozen=True)
class Mark:
    """Whose folder it is: ids of the site and of the project."""

    site: str
    project: str


def read_mark(folder: Path) -> Mark | None:
    """The mark of a folder; None when it has none that can be read."""
    try:
        with os.fdopen(os.open(folder / FILE, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW), "rb") as file:
            data = json.loads(file.read(MAX_BYTES))
        return Mark(str(data["site"]), str(data["project"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_mark(folder: Path, mark: Mark) -> None:
    """Mark a folder, and put the schema of the manifest beside the mark, for editors.

    Raises:
        OSError: it cannot be written.
    """
    place = folder / Path(FILE).parent
    if place.is_symlink():
        raise OSError(f"{place} is a link")
    place.mkdir(exist_ok=True)
    for name, text in (
        (".gitignore", IGNORED),
        (Path(LOCAL).name, schema_text()),
        (Path(FILE).name, json.dumps({"site": mark.site, "project": mark.project}) + "\n"),
    ):
        # of a name that nobody can have put a link at
        draft = place / f".{name}.{secrets.token_hex(6)}"
        try:
            draft.write_text(text, encoding="utf-8")
            draft.replace(place / name)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise


def unmark(folder: Path) -> None:
    """Take a mark away again."""
    if (folder / ".himalia").is_symlink():
        return  # so that it was never marked
    for name in (".gitignore", Path(LOCAL).name, Path(FILE).name):
        (folder / ".himalia" / name).unlink(missing_ok=True)
    with suppress(OSError):  # it is not there, or holds something else
        (folder / ".himalia").rmdir()


def try_mark(folder: Path, mark: Mark) -> None:
    """As `write_mark`; a folder that cannot be written does without: it is only not found again when it is moved."""
    try:
        write_mark(folder, mark)
    except OSError as error:
        log.info("a project's folder cannot be marked: %s", error, extra={"folder": str(folder)})

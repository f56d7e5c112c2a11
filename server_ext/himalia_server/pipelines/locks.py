"""Lock files: what each stage made of what, one small file a stage, made to be committed beside the code."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..content import ContentStore, MissingContent
from .keys import Parts

FOLDER = ".himalia/stages"
"""Relative to the project."""


@dataclass(frozen=True)
class Made:
    """What a lock tells of: a stage that has ended well. `parts`: the object that lists the parts of its key.

    `outputs`, `reads`: path → digest. `run`: the one that made it.
    """

    stage: str
    key: str
    parts: str
    outputs: dict[str, str]
    reads: dict[str, str]
    notebook: str | None
    run: str


def lock_text(made: Made, parts: Parts) -> str:
    """The lock of a stage. The same result is the same text, whenever it was made."""
    document = {
        "key": parts.key,
        "code": list(parts.cells),
        "parameters": parts.parameters,
        "inputs": parts.inputs,
        "modules": parts.modules,
        "environment": parts.environment,
        "kernel": parts.kernel,
        "outputs": made.outputs,
        "reads": made.reads,
        "notebook": made.notebook,
        "run": made.run,
    }
    return json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def write_locks(content: ContentStore, folder: Path, stages: Iterable[Made], gone: Iterable[str] = ()) -> None:
    """Write the locks of these stages where they differ from what is there; remove those of *gone*.

    Raises:
        OSError: a file cannot be written.
    """
    place = folder / FOLDER
    if not (folder / ".himalia").resolve().is_relative_to(folder.resolve()):
        return  # a link that leads out of the project
    for name in gone:
        (place / f"{name}.json").unlink(missing_ok=True)
    for made in stages:
        if _holds(read_lock(folder, made.stage), made):
            continue
        try:
            parts = Parts.load(content.path(made.parts).read_bytes())
        except (MissingContent, ValueError):
            continue
        text, path = lock_text(made, parts), place / f"{made.stage}.json"
        for each in (place.parent, place):
            if not each.exists():
                each.mkdir(mode=0o755)
                each.chmod(0o755)  # whatever the service's umask is: these are files of the project
        draft = path.with_name(f".{made.stage}.{secrets.token_hex(4)}")
        try:
            draft.write_text(text, "utf-8")
            draft.chmod(0o644)
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)


def read_lock(folder: Path, stage: str) -> dict[str, Any] | None:
    """What the lock of a stage says, which is shared: do not change it; None: there is none that can be read."""
    path = f"{folder}/{FOLDER}/{stage}.json"
    try:
        status = os.stat(path)  # noqa: PTH116 - there may be thousands
    except OSError:
        return None
    return _lock_at(path, (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns))


def _holds(lock: dict[str, Any] | None, made: Made) -> bool:
    """Whether a lock tells of this: the key stands for all that it was made of."""
    if lock is None:
        return False
    told = (lock["key"], lock["outputs"], lock["reads"], lock.get("notebook"), lock["run"])
    return told == (made.key, made.outputs, made.reads, made.notebook, made.run)


@lru_cache(maxsize=4096)
def _lock_at(path: str, _state: tuple[int, ...]) -> dict[str, Any] | None:
    """The lock in a file that is in that state: read once."""
    try:
        document = json.loads(Path(path).read_bytes())
        digests = [*document["outputs"].values(), *document["reads"].values()]
        texts = [document["key"], document["run"], *document["outputs"], *document["reads"], *digests]
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None
    return document if all(isinstance(text, str) for text in texts) else None

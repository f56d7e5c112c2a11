"""Lock files: what each stage made of what, one small file a stage, made to be committed beside the code."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..content import ContentStore, MissingContent
from ..store import StageRun
from .keys import Parts

FOLDER = ".himalia/stages"
"""Relative to the project."""


def lock_text(row: StageRun, parts: Parts) -> str:
    """The lock of a stage that has ended well. The same result is the same text, whenever it was made."""
    document = {
        "key": parts.key,
        "code": list(parts.cells),
        "parameters": parts.parameters,
        "inputs": parts.inputs,
        "modules": parts.modules,
        "environment": parts.environment,
        "kernel": parts.kernel,
        "outputs": row.outputs,
        "reads": row.outcome.get("reads", {}),
        "notebook": row.notebook_digest,
        "run": row.cached_from or row.run_id,
    }
    return json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def write_locks(content: ContentStore, folder: Path, rows: Iterable[StageRun]) -> None:
    """Write the locks of these stages where they differ from what is there.

    Raises:
        OSError: a file cannot be written.
    """
    place = folder / FOLDER
    if not (folder / ".himalia").resolve().is_relative_to(folder.resolve()):
        return  # a link that leads out of the project
    for row in rows:
        if row.parts is None or _holds(read_lock(folder, row.stage), row):
            continue
        try:
            parts = Parts.load(content.path(row.parts).read_bytes())
        except (MissingContent, ValueError):
            continue
        text, path = lock_text(row, parts), place / f"{row.stage}.json"
        for each in (place.parent, place):
            if not each.exists():
                each.mkdir(mode=0o755)
                each.chmod(0o755)  # whatever the service's umask is: these are files of the project
        draft = path.with_name(f".{row.stage}.{secrets.token_hex(4)}")
        try:
            draft.write_text(text, "utf-8")
            draft.chmod(0o644)
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)


def _holds(lock: dict[str, Any] | None, row: StageRun) -> bool:
    """Whether a lock tells of the result of *row*: the key stands for all that it was made of."""
    if lock is None:
        return False
    told = (lock["key"], lock["outputs"], lock["reads"], lock.get("notebook"), lock["run"])
    return told == (
        row.key,
        row.outputs,
        row.outcome.get("reads", {}),
        row.notebook_digest,
        row.cached_from or row.run_id,
    )


def read_lock(folder: Path, stage: str) -> dict[str, Any] | None:
    """What the lock of a stage says; None: there is none that can be read."""
    try:
        document = json.loads((folder / FOLDER / f"{stage}.json").read_bytes())
        digests = [*document["outputs"].values(), *document["reads"].values()]
        texts = [document["key"], document["run"], *document["outputs"], *document["reads"], *digests]
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None
    return document if all(isinstance(text, str) for text in texts) else None

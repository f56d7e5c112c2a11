"""What is known of stages: results by key, and what becomes of a key that has two."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Literal

from sqlalchemy import Row, func, select, update
from sqlalchemy.orm import Session

from ..projects import output_of
from ..store import StageResult, now
from .keys import Parts
from .keys.parts import canonical

KnownResult = StageResult | Row[Any]
"""A result, or its row: of thousands that are only read, objects cost more than all else."""
Recorded = Literal["trusted", "differs", "untrusted"]
CHUNK = 500
"""Values in one query; databases bound their number."""


def outputs_digest(outputs: dict[str, str]) -> str:
    """One digest over all outputs."""
    return "outputs:" + hashlib.sha256(canonical(outputs)).hexdigest()


def find_results(session: Session, project_id: str, keys: Iterable[str]) -> dict[str, list[StageResult]]:
    """The results of each key that has any, newest first; also those that are not trusted."""
    found: dict[str, list[StageResult]] = {}
    for chunk in _chunks(keys):
        query = select(StageResult).where(StageResult.project_id == project_id, StageResult.key.in_(chunk))
        for row in session.scalars(query.order_by(StageResult.used_at.desc())):
            found.setdefault(row.key, []).append(row)
    return found


def newest_results(session: Session, project_id: str, stages: Iterable[str]) -> dict[str, KnownResult]:
    """The result of each stage that was made or used last, whatever its key."""
    found: dict[str, KnownResult] = {}
    for chunk in _chunks(stages):
        newest = (
            select(StageResult.stage, func.max(StageResult.used_at).label("used_at"))
            .where(StageResult.project_id == project_id, StageResult.stage.in_(chunk))
            .group_by(StageResult.stage)
            .subquery()
        )
        query = select(*StageResult.__table__.columns).join(
            newest, (StageResult.stage == newest.c.stage) & (StageResult.used_at == newest.c.used_at)
        )
        for row in session.execute(query.where(StageResult.project_id == project_id).order_by(StageResult.id)):
            found[row.stage] = row
    return found


def note_use(session: Session, results: Iterable[str]) -> None:
    """These results, by id, were used now."""
    for chunk in _chunks(results):
        query = update(StageResult).where(StageResult.id.in_(chunk)).values(used_at=now())
        session.execute(query, execution_options={"synchronize_session": False})


def fits(result: KnownResult, files: dict[str, str]) -> bool:
    """Whether what the stage opened without having declared it is what it was. *files*: path → digest."""
    return all(files.get(path) == digest for path, digest in result.reads.items())


def record_result(
    session: Session,
    project_id: str,
    stage: str,
    parts: Parts,
    parts_digest: str,
    *,
    outputs: dict[str, str],
    reads: dict[str, str],
    notebook: str | None,
    run_id: str,
) -> Recorded:
    """Remember what a stage has made of a key.

    "differs": the key has made something else before, of the same files: none of its results is trusted from now on.
    "untrusted": that was known already.
    """
    key, digest = parts.key, outputs_digest(outputs)
    query = select(StageResult).where(StageResult.project_id == project_id, StageResult.key == key)
    rows = list(session.scalars(query))
    declared = {*parts.inputs, *parts.outputs}
    differs = any(
        row.outputs_digest != digest
        and _agree(row.reads, reads)
        # made when files were still laid into the folders that are declared: of something else
        and not any(output_of(path, declared) for path in row.reads)
        for row in rows
    )
    trusted = not differs and all(row.trusted for row in rows)
    row = next((row for row in rows if row.outputs_digest == digest), None)
    if row is None:
        row = StageResult(project_id=project_id, stage=stage, key=key, outputs=outputs, outputs_digest=digest)
        session.add(row)
    row.stage, row.parts, row.reads, row.run_id, row.notebook_digest = stage, parts_digest, reads, run_id, notebook
    row.created_at = row.used_at = now()
    for one in [*rows, row]:
        one.trusted = trusted
    return "differs" if differs else "trusted" if trusted else "untrusted"


def _agree(one: dict[str, Any], two: dict[str, Any]) -> bool:
    return all(two.get(path, digest) == digest for path, digest in one.items())


def _chunks(values: Iterable[str]) -> Iterator[Sequence[str]]:
    rest = iter(values)
    while chunk := list(islice(rest, CHUNK)):
        yield chunk

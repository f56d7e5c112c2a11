"""What is to be done about each stage of a run: taken from the cache, or run, and why."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Literal

from sqlalchemy.orm import Session

from ..content import ContentStore, MissingContent
from ..projects import COMPONENTS, SHARED, Manifest, StageTable, Used, seconds
from ..store import StageResult, now
from .graph import Graph
from .keys import Change, CodeReader, NotebookUnfit, PackagesReader, Parts, explain, local_modules
from .locks import read_lock
from .outputs import StageFiles, differing, digest_in
from .requests import NOTEBOOK_STAGE
from .results import KnownResult, find_results, fits, newest_results, outputs_digest

Action = Literal["skip", "run", "later"]
TREES = 4
"""Lists of folders that are remembered: many stages may read one, which may be long."""


@dataclass(frozen=True)
class Planned:
    """What is to be done about one stage.

    `action`: "skip" (its outputs are known), "run", or "later": that depends on what stages before it make.
    `changes`: what differs from the result that was used last; empty when there is none, or nothing differs.
    `why`: a sentence without its full stop.
    """

    stage: str
    action: Action
    why: str
    parts: Parts | None = None
    result: KnownResult | None = None
    changes: tuple[Change, ...] = ()
    deterministic: bool = True


@dataclass
class Scene:
    """What the stages of one run see.

    `files`: path → digest of its snapshot; `folder`: the project's. `reused`: stage → key of the run that it
    resumes, whose results count whatever the cache policy says. `used`: by name of the environments that stages ask
    for, None the project's own.
    """

    project_id: str
    manifest: Manifest
    graph: Graph
    params: dict[str, dict[str, Any]]
    files: dict[str, str]
    folder: Path
    used: dict[str | None, Used]
    force: bool = False
    reused: dict[str, str] = field(default_factory=dict)
    newest: dict[str, KnownResult] = field(default_factory=dict)

    @cached_property
    def roots(self) -> list[str]:
        """Folders of the snapshot that are imported from."""
        return ["", "src", *(f"{COMPONENTS}/{use.partition('@')[0]}" for use in self.manifest.project.uses)]

    def used_by(self, stage: str) -> Used:
        """What a stage runs in."""
        return self.used[self.manifest.stages[stage].environment]


class Planner:
    """Plans runs of one site. Thread-safe."""

    def __init__(self, content: ContentStore) -> None:
        self.content = content
        self.reader = CodeReader(lambda digest: content.path(digest).read_bytes())
        self.packages = PackagesReader()
        self._tree = lru_cache(TREES)(content.tree)

    def parts(self, scene: Scene, name: str, produced: dict[str, str]) -> Parts:
        """The parts of a stage's key. *produced*: path → digest of what stages before it made.

        Raises:
            NotebookUnfit: its notebook is none. MissingContent: a file is not in the content store (any more),
                or a stage before it did not make it.
        """
        stage = scene.manifest.stages[name]
        params = scene.params.get(name, {})
        digest = scene.files[stage.notebook]
        code = self.reader.notebook(digest)
        inputs = {path: digest_in(self.content, produced, path) or scene.files[path] for path in stage.inputs}
        files = StageFiles(self._tree, scene.files, inputs)
        modules = local_modules(code.imports, files, scene.roots, self.reader.imports)
        return Parts(
            cells=code.meanings(bool(params)),
            parameters=params,
            inputs=inputs,
            modules=modules,
            environment=self._environment(scene.used_by(name)),
            kernel=code.language,
            outputs=tuple(stage.outputs),
            notebook=digest,
        )

    def _environment(self, used: Used) -> str:
        own = self.packages.digest(used.python)
        if used.environment.digest == SHARED.digest:
            return own
        below = f"+{self.packages.digest(sys.executable)}" if used.overlay else ""
        return f"{used.environment.digest}+{own}{below}"

    def plan(
        self, session: Session, scene: Scene, names: Iterable[str], produced: dict[str, str], unfinished: Iterable[str]
    ) -> list[Planned]:
        """All of *names*, in their order, from what is known before any of them runs; *unfinished* others do."""
        names = list(names)
        scene.newest = newest_results(session, scene.project_id, names)
        produced, undecided, plans = dict(produced), set(unfinished), list[Planned]()
        for name in names:
            waits = scene.graph.waits[name] & undecided
            if waits:
                plans.append(Planned(name, "later", f"depends on {', '.join(sorted(waits))}, to be run before"))
                undecided.add(name)
                continue
            planned = self.decide(session, scene, name, produced)
            plans.append(planned)
            if planned.result is not None and planned.action == "skip":
                produced.update(planned.result.outputs)
            else:
                undecided.add(name)
        return plans

    def decide(self, session: Session, scene: Scene, name: str, produced: dict[str, str]) -> Planned:
        """One stage, when all that it waits for has ended well."""
        try:
            parts = self.parts(scene, name, produced)
        except NotebookUnfit as error:
            return Planned(name, "run", f"{scene.manifest.stages[name].notebook}: {error}")
        except MissingContent as error:
            return Planned(name, "run", str(error))
        if name not in scene.newest:
            scene.newest |= newest_results(session, scene.project_id, [name])
        last = scene.newest.get(name)
        known = [last] if last is not None and last.key == parts.key and last.trusted else None
        rows: Sequence[KnownResult] = known or find_results(session, scene.project_id, [parts.key]).get(parts.key, [])
        if known and not fits(known[0], scene.files):
            rows = find_results(session, scene.project_id, [parts.key])[parts.key]
        changes = self._changes(last, parts)
        trusted = all(row.trusted for row in rows)

        def run(why: str) -> Planned:
            return Planned(name, "run", why, parts, None, changes, trusted)

        stage, resumed = scene.manifest.stages[name], scene.reused.get(name) == parts.key
        if scene.force and not resumed:
            return run("it was asked to run in any case")
        if stage.cache == "never" and not resumed:
            always = "it is run each time" if name == NOTEBOOK_STAGE else 'it has cache = "never"'
            return run(_told(changes) if changes else always)
        if stage.cache == "always" and last is not None and name not in scene.reused:
            return self._skip(name, parts, last, changes) or run("its outputs are no longer in the cache")
        if not rows and stage.cache in ("key", "always"):  # a lock does not tell how old its result is
            locked = self._from_lock(scene, name, parts)
            if locked is not None:
                return Planned(name, "skip", "unchanged, as its lock file tells", parts, locked)
        if not rows:
            return run(_told(changes) if last is not None else "first run")
        result = next((row for row in rows if fits(row, scene.files)), None)
        if not trusted:
            return run("it is not deterministic: it made two different outputs of the same code and inputs")
        if result is None:
            return run(_read_files(rows[0], scene.files))
        refused = None if resumed else _too_old(stage, result)
        if refused:
            return run(refused)
        return self._skip(name, parts, result, ()) or run("its outputs are no longer in the cache")

    def _skip(self, name: str, parts: Parts, result: KnownResult, changes: tuple[Change, ...]) -> Planned | None:
        for digest in result.outputs.values():
            if not self.content.renew(digest):
                return None
        return Planned(name, "skip", "unchanged", parts, result, changes)

    def _from_lock(self, scene: Scene, name: str, parts: Parts) -> StageResult | None:
        """What the lock file tells of a result that another site has made, when its outputs lie in the folder."""
        lock = read_lock(scene.folder, name)
        if lock is None or lock["key"] != parts.key or set(lock["outputs"]) != set(parts.outputs):
            return None
        result = StageResult(
            project_id=scene.project_id,
            stage=name,
            key=parts.key,
            parts="sha256:" + hashlib.sha256(parts.dump()).hexdigest(),
            outputs=lock["outputs"],
            outputs_digest=outputs_digest(lock["outputs"]),
            reads=lock["reads"],
            trusted=True,
            run_id=lock["run"][:32],
            created_at=now(),
            used_at=now(),
        )
        there = not differing(self.content, scene.folder, result.outputs)
        return result if there and fits(result, scene.files) else None

    def _changes(self, last: KnownResult | None, parts: Parts) -> tuple[Change, ...]:
        if last is None or last.key == parts.key:
            return ()
        try:
            old = Parts.load(self.content.path(last.parts).read_bytes())
        except (MissingContent, ValueError):
            return (Change("code", "", "what its last result was made of is no longer known"),)
        return tuple(explain(old, parts))


def _told(changes: tuple[Change, ...]) -> str:
    texts = [change.text for change in changes]
    more = f" and {len(texts) - 3} more" if len(texts) > 3 else ""
    return ", ".join(texts[:3]) + more if texts else "it has no result of just this"


def _read_files(result: KnownResult, files: dict[str, str]) -> str:
    names = sorted(path for path, digest in result.reads.items() if files.get(path) != digest)
    return f"{', '.join(names[:3])} changed, which it reads without declaring it"


def _too_old(stage: StageTable, result: KnownResult) -> str | None:
    """Why the stage's cache policy does not take a result."""
    if stage.cache not in ("key", "always", "never") and result.created_at + seconds(stage.cache) < now():
        return f"its result is older than {stage.cache}"
    return None

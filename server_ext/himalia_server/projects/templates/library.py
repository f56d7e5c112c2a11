"""All templates of a site: Himalia's, and the team's own, each a snapshot of a folder or a repository."""

from __future__ import annotations

import json
import logging
import secrets
import shutil
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from himalia._digest import tree_digest

from ...service.auth import Principal
from ...service.context import Context
from ...service.once import Once
from ...service.problems import Conflict, Invalid, NotFound, nearest
from ...service.site import private_folder, write_private
from ...service.toml_reader import read_toml
from ..folders import name_of_source, refuse_foreign, sluggified
from ..making import clone
from ..manifest import ManifestFault, read_manifest
from .installed import Template, missing, templates
from .models import TemplateView

log = logging.getLogger(__name__)
MAX_BYTES = 512 << 20
MAX_FILES = 20_000
LEFT = {".git", ".himalia", ".ipynb_checkpoints", "__pycache__", "build", ".venv", "venv", "node_modules"}
"""What a snapshot leaves out."""


@dataclass(frozen=True)
class _Draft:
    """A copy of a source that is not kept yet, what its template.toml says, and its digest."""

    folder: Path
    facts: dict[str, Any]
    digest: str


class Library:
    """Templates of a site. Each of the team's is a folder named by its digest, and a record that says which it is."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self._lock = threading.Lock()
        """Held while what there is changes, not while a source is copied: a clone may take minutes."""
        self._updates: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        """By template, held for a whole update: what was copied earlier shall not replace what was copied later."""
        self._drafts: set[str] = set()

    def all(self) -> dict[str, Template]:
        """All templates, by name."""
        return templates() | {name: _template(name, record) for name, record in self._records().items()}

    def find(self, name: str) -> Template:
        """The template of that name.

        Raises:
            NotFound: there is none.
        """
        known = self.all()
        if name not in known:
            raise NotFound(f"There is no template {name!r}.", hint=nearest(name, known), field="template")
        return known[name]

    def views(self) -> list[TemplateView]:
        """As they cross the wire."""
        records = self._records()
        return [_view(template, records.get(name)) for name, template in self.all().items()]

    def view(self, name: str) -> TemplateView:
        """One of them.

        Raises:
            NotFound: there is none.
        """
        return _view(self.find(name), self._records().get(name))

    def add(self, principal: Principal, source: str, name: str | None, once: Once | None = None) -> TemplateView:
        """Take a snapshot of a folder or a repository as a template.

        Raises:
            Invalid, ManifestFault: it is no template. Conflict: there is one of that name.
        """
        refuse_foreign(self.context, principal, source)
        if name is not None:
            self._refuse_taken(name)
        with self._snapshot(source) as draft:
            chosen = name or sluggified(str(draft.facts.get("name") or name_of_source(source)))
            if chosen is None:
                raise Invalid("The template needs a name.", hint="Give it one.", field="name")
            with self._lock:
                self._refuse_taken(chosen)
                self._keep(principal, draft, chosen, source, "template.add", once)
        return self.view(chosen)

    def _refuse_taken(self, name: str) -> None:
        if name in self.all():
            raise Conflict(
                f"There is a template {name!r} already.",
                hint=f"Name it otherwise, or renew the team's own: himalia template update {name}",
                field="name",
            )

    def update(self, principal: Principal, name: str) -> TemplateView:
        """Take the snapshot of one of the team's templates anew, from where it was taken.

        Raises:
            NotFound: there is none, or it was removed meanwhile. Conflict: it was replaced meanwhile.
            Invalid, ManifestFault: the source is no template now.
        """
        self._record(name)
        with self._updates[name]:
            source = str(self._record(name)["source"])
            refuse_foreign(self.context, principal, source)
            with self._snapshot(source) as draft, self._lock:
                if str(self._record(name)["source"]) != source:
                    raise Conflict(f"The template {name!r} was replaced meanwhile.", hint="Look at it, then try again.")
                self._keep(principal, draft, name, source, "template.update", None)
        return self.view(name)

    def remove(self, principal: Principal, name: str) -> None:
        """Forget one of the team's templates; projects that were made from it stay."""
        with self._lock:
            self._record(name)
            with self.context.change(principal) as change:
                change.audit("template.remove", None, name)
                change.event("template.removed", name, {})
            (self._folder / f"{name}.json").unlink()
            self._sweep()

    def _keep(
        self,
        principal: Principal,
        draft: _Draft,
        name: str,
        source: str,
        action: str,
        once: Once | None,
    ) -> None:
        facts, digest = draft.facts, draft.digest
        place = self._folder / digest.removeprefix("sha256:")
        if not place.exists():
            draft.folder.replace(place)
        record = {
            "title": str(facts.get("title") or name)[:200],
            "description": str(facts.get("description") or read_manifest(place).project.description)[:1000],
            "source": source,
            "digest": digest,
            "folder": str(place),
        }
        write_private(self._folder / f"{name}.json", json.dumps(record))
        with self.context.change(principal) as change:
            change.made(once, name)
            change.audit(action, None, name, source=source, digest=digest)
            change.event("template.changed", name, {"digest": digest})
        self._sweep()

    @contextmanager
    def _snapshot(self, source: str) -> Iterator[_Draft]:
        """A copy of a source without links, history and what tools leave; it is gone afterwards unless it is kept."""
        name = f".draft-{secrets.token_hex(8)}"
        draft = self._folder / name
        self._drafts.update((name, f"{name}.clone"))
        try:
            if source.startswith("/") and not (Path(source) / ".git").exists():
                _copy(Path(source), draft)
            else:
                whole = draft.with_name(f"{name}.clone")
                try:
                    clone(source, self.context.stopping)(whole, lambda _step, _percent: None)
                    _copy(whole, draft)
                finally:
                    shutil.rmtree(whole, ignore_errors=True)
            try:
                read_manifest(draft)
            except ManifestFault as fault:
                text = fault.detail.replace(f"{draft}/", "")
                raise ManifestFault(f"The template cannot be used: {text}", hint=fault.hint, field="source") from fault
            yield _Draft(draft, _facts(draft), tree_digest(draft))
        finally:
            shutil.rmtree(draft, ignore_errors=True)
            self._drafts.difference_update((name, f"{name}.clone"))

    @property
    def _folder(self) -> Path:
        return private_folder(self.context.site.home / "templates")

    def _records(self) -> dict[str, dict[str, Any]]:
        found = {}
        for file in self._files():
            record = _read(file)
            if record is not None and Path(record["folder"]).is_dir():
                found[file.stem] = record
        return found

    def _files(self) -> list[Path]:
        return sorted((self.context.site.home / "templates").glob("*.json"))

    def _record(self, name: str) -> dict[str, Any]:
        records = self._records()
        if name not in records:
            ours = f"{name!r} comes with Himalia." if name in templates() else nearest(name, records)
            raise NotFound(f"The team has no template {name!r} of its own.", hint=ours)
        return records[name]

    def _sweep(self) -> None:
        """Remove what a service that was killed was copying, and snapshots that no record names.

        The latter only when all records can be read.
        """
        for path in self._folder.glob(".*"):
            if path.is_dir() and path.name not in self._drafts:
                shutil.rmtree(path, ignore_errors=True)
        records = [_read(file) for file in self._files()]
        if None in records:
            return
        used = {Path(record["folder"]).name for record in records if record is not None}
        for path in self._folder.iterdir():
            if path.is_dir() and path.name not in used and not path.name.startswith("."):
                shutil.rmtree(path, ignore_errors=True)


def _read(file: Path) -> dict[str, Any] | None:
    """The record of a template, with its folder where the site is now; None when it cannot be read."""
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        texts = {key: str(record[key]) for key in ("title", "description", "source", "digest")}
        return texts | {"folder": str(file.parent / (Path(record["folder"]).name or "-"))}
    except (OSError, ValueError, LookupError, TypeError) as error:
        log.warning("the record of a template cannot be read, so it is left out: %s: %s", file, error)
        return None


def _facts(folder: Path) -> dict[str, Any]:
    try:
        facts = read_toml((folder / "template.toml").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise Invalid(f"template.toml cannot be read: {error}.", field="source") from error
    _data(facts)
    return facts


def _template(name: str, record: dict[str, Any]) -> Template:
    found = Template(name, record["title"], record["description"], Path(record["folder"]), None, ())
    try:
        package, files = _data(_facts(found.folder))
    except Invalid as fault:  # taken by a version that did not look, or edited since
        return replace(found, problem=f"{fault.detail} Mend it, then: himalia template update {name}")
    return replace(found, package=package, files=files)


def _data(facts: dict[str, Any]) -> tuple[str | None, tuple[str, ...]]:
    """The package of a template's data and its files, checked: they are found and copied by these names.

    Raises:
        Invalid: they are no names.
    """
    data = facts.get("data", {})
    package, files = (data.get("package"), data.get("files", [])) if isinstance(data, dict) else (data, data)
    if package is not None and not (isinstance(package, str) and package.isidentifier()):
        raise Invalid(
            f"template.toml: {str(package)[:80]!r} is not the name of a package.",
            hint='[data] has package = "name" and files = ["name.csv"], copied from the folder data of the package.',
            field="source",
        )
    if not isinstance(files, list) or not all(isinstance(file, str) and _is_name(file) for file in files):
        raise Invalid(
            "template.toml: the files of [data] are not a list of names.",
            hint='Write them as they lie in the folder data of the package: files = ["name.csv"].',
            field="source",
        )
    return package, tuple(files)


def _is_name(text: str) -> bool:
    return text not in ("", ".", "..") and text.isprintable() and not set(text) & set("/\\:") and len(text) < 200


def _view(template: Template, record: dict[str, Any] | None) -> TemplateView:
    problem = missing(template)
    return TemplateView(
        name=template.name,
        title=template.title,
        description=template.description,
        available=problem is None,
        problem=problem,
        source=record["source"] if record else None,
        digest=record["digest"] if record else None,
    )


def _copy(source: Path, target: Path) -> None:
    """Copy ordinary files; links are left out, since what they lead to may be anything of this machine."""
    if not source.is_dir():
        raise Invalid(f"There is no folder {source}.", hint="Name a folder, or a git repository.", field="source")
    files = size = 0

    def ignored(folder: str, names: list[str]) -> set[str]:
        nonlocal files, size
        out = {name for name in names if name in LEFT or (Path(folder) / name).is_symlink()}
        for name in set(names) - out:
            path = Path(folder) / name
            files += 1
            if path.is_file():
                size += path.stat().st_size
            elif not path.is_dir():
                out.add(name)
        if files > MAX_FILES or size > MAX_BYTES:
            raise Invalid(
                f"The folder is too large for a template: more than {MAX_FILES:,} files or {MAX_BYTES >> 20} MiB.",
                hint="Leave its data out: say in its README where they come from.",
                field="source",
            )
        return out

    try:
        shutil.copytree(source, target, ignore=ignored)
    except (OSError, shutil.Error) as error:
        raise Invalid(f"The folder cannot be copied: {error}.", field="source") from error

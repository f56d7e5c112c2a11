"""Secrets: sealed in the store, opened only for a kernel or stage that starts."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any, Protocol

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from ..service.auth import Principal
from ..service.context import Context
from ..service.keyring import FILE, OVERHEAD, Keyring, KeyringError, Unsealable, key_of
from ..service.problems import Conflict, Invalid, NotFound, Unavailable, nearest
from ..store import Kernel, Project, Secret, now
from .models import BYTES, MOST, TOTAL_BYTES, Rotation, SecretChanged, SecretView
from .names import refusal

log = logging.getLogger(__name__)


class Vault:
    """The logic of the room. The keys lie in a file of the site, also when the store is elsewhere."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.file = context.site.home / FILE
        self._lock = threading.RLock()
        """Held while keys or values change: no value is sealed with a key that a rotation takes away."""
        self.others: list[Callable[[Session], Iterable[tuple[Sealed, tuple[str, ...]]]]] = []
        """Rows of other rooms whose values were sealed here, and what these belong to; a rotation seals them anew."""

    def of(self, project: Project) -> list[SecretView]:
        """A project's secrets without their values, by name."""
        try:
            keys, fault = set(self._keys().keys), None
        except Unavailable as error:
            keys, fault = set(), error.detail
        return [_view(row, keys, fault) for row in self._rows(project)]

    def set(self, principal: Principal, project: Project, name: str, value: str) -> SecretChanged:
        """Set or replace a secret.

        Raises:
            Invalid: no such name is possible, the value is too large, or there are too many.
        """
        why = refusal(name)
        if why is not None:
            raise Invalid(why, hint="Choose another name, for example WAREHOUSE_PASSWORD.", field="name")
        size = len(value.encode())
        if size > BYTES:
            raise Invalid(
                f"The value has {size} bytes; at most {BYTES >> 10} KiB fit into an environment variable.",
                hint="Keep the file elsewhere, and its address or key here.",
                field="value",
            )
        with self._lock:
            keys = self._keys()
            if not keys.keys:
                keys = keys.with_new()
                keys.write(self.file)
            with self.context.change(principal) as change:
                change.require_live(project)
                row = change.session.get(Secret, (project.id, name))
                others = select(func.count(), func.sum(func.length(Secret.sealed) - OVERHEAD)).where(
                    Secret.project_id == project.id, Secret.name != name
                )
                count, taken = change.session.execute(others).one()
                if row is None and count >= MOST:
                    raise Invalid(
                        f"{project.slug} has {count} secrets; a project may have {MOST}.",
                        hint=f"Delete what is not needed (himalia secret list --project {project.slug}), or put values "
                        "that belong together into one, for example as JSON.",
                        field="name",
                    )
                if int(taken or 0) + size > TOTAL_BYTES:
                    raise Invalid(
                        f"All secrets of a project together may have {TOTAL_BYTES >> 10} KiB.",
                        hint=f"Delete what is not needed: himalia secret list --project {project.slug}",
                        field="value",
                    )
                if row is None:
                    row = Secret(project_id=project.id, name=name, sealed=b"", created_by="")
                    change.session.add(row)
                row.sealed = keys.seal(value, project.id, name)
                row.created_by, row.changed_at = principal.user, now()
                change.audit("secret.set", project, name)
                change.event("secret.set", name, {}, project)
                running = _running(change.session, project)
        note = "Kernels and stages get it when they start."
        if running:
            ones = "kernel that runs goes" if running == 1 else "kernels that run go"
            note += f" {running} {ones} on without the change: restart to have it."
        return SecretChanged(**_view(row, set(keys.keys), None).model_dump(), running=running, note=note)

    def delete(self, principal: Principal, project: Project, name: str) -> None:
        """Forget a secret; kernels that run keep what they were given.

        Raises:
            NotFound: the project has none of that name.
        """
        with self._lock, self.context.change(principal) as change:
            row = change.session.get(Secret, (project.id, name))
            if row is None:
                known = change.session.scalars(select(Secret.name).where(Secret.project_id == project.id))
                raise NotFound(f"{project.slug} has no secret {name!r}.", hint=nearest(name, known))
            change.session.delete(row)
            change.audit("secret.delete", project, name)
            change.event("secret.deleted", name, {}, project)

    def variables(self, project: Project) -> dict[str, str]:
        """Names and values, for a kernel or stage that starts.

        Raises:
            SecretsClosed: some cannot be opened. Unavailable: the file of keys cannot be used.
        """
        rows = self._rows(project)
        if not rows:
            return {}
        opened, closed, ways = {}, {}, set()
        keys = self._keys()
        for row in rows:
            try:
                opened[row.name] = keys.open(row.sealed, project.id, row.name)
            except Unsealable as error:
                closed[row.name] = str(error)
                if key_of(row.sealed) not in keys.keys:
                    ways.add(_from_backup(keys.keys))
        if closed:
            raise SecretsClosed(project, opened, closed, ways)
        return opened

    @contextmanager
    def held(self) -> Iterator[None]:
        """No rotation within: around `seal` and the commit of what it has made."""
        with self._lock:
            yield

    def seal(self, text: str, *belongs: str) -> bytes:
        """Encrypt a value of another room, bound to what it *belongs* to; see `held` and `others`.

        Raises:
            Unavailable: the file of keys cannot be used.
        """
        with self._lock:
            keys = self._keys()
            if not keys.keys:
                keys = keys.with_new()
                keys.write(self.file)
            return keys.seal(text, *belongs)

    def open(self, sealed: bytes, *belongs: str) -> str:
        """What `seal` has encrypted.

        Raises:
            Unavailable: it cannot be opened.
        """
        try:
            return self._keys().open(sealed, *belongs)
        except Unsealable as error:
            raise Unavailable(f"What was sealed cannot be opened: {error}.") from error

    def rotate(self, principal: Principal) -> Rotation:
        """Take a new key and seal all values with it; the old one is forgotten.

        Safe to interrupt: until the last value is sealed anew the file holds both keys.
        """
        with self._lock:
            keys = self._keys().with_new()
            keys.write(self.file)
            done = self._reseal(principal, keys)
        return done

    def repair(self) -> None:
        """Finish a rotation that was interrupted."""
        with self._lock:
            try:
                keys = self._keys()
            except Unavailable as error:
                log.warning("secrets cannot be opened: %s", error.detail)
                return
            if len(keys.keys) > 1:
                self._reseal(None, keys)

    def _reseal(self, principal: Principal | None, keys: Keyring) -> Rotation:
        resealed, lost = 0, []
        with self.context.change(principal) as change:
            secrets = [(row, (row.project_id, row.name)) for row in change.session.scalars(select(Secret))]
            for row, belongs in chain[tuple[Sealed, tuple[str, ...]]](
                secrets, *(rows(change.session) for rows in self.others)
            ):
                if row.sealed is None or keys.uses_newest(row.sealed):
                    continue
                try:
                    text = keys.open(row.sealed, *belongs)
                except Unsealable:
                    lost.append(row.name)
                    continue
                row.sealed = keys.seal(text, *belongs)
                resealed += 1
            change.audit("secret.rotate", None, None, resealed=resealed, lost=len(lost))
            change.event("secret.rotated", None, {"resealed": resealed})
        keys.newest().write(self.file)
        return Rotation(resealed=resealed, lost=lost)

    def _rows(self, project: Project) -> list[Secret]:
        with self.context.database.read() as session:
            return list(session.scalars(select(Secret).where(Secret.project_id == project.id).order_by(Secret.name)))

    def _keys(self) -> Keyring:
        try:
            return Keyring.read(self.file)
        except KeyringError as error:
            raise Unavailable(str(error), hint="Look after the file, then try again.") from error


class Sealed(Protocol):
    """A row with a sealed value."""

    name: Any
    sealed: Any


class SecretsClosed(Conflict):
    """Some secrets cannot be opened. `opened` holds the others."""

    def __init__(self, project: Project, opened: dict[str, str], closed: dict[str, str], ways: Collection[str]) -> None:
        names = ", ".join(closed)
        super().__init__(
            f"Secrets of {project.slug} cannot be opened: {names} ({next(iter(closed.values()))}).",
            hint=" ".join((f"Set them again: himalia secret set NAME --project {project.slug}.", *ways)),
        )
        self.opened = opened


def _view(row: Secret, keys: set[str], fault: str | None) -> SecretView:
    problem = fault
    if problem is None and key_of(row.sealed) not in keys:
        problem = f"Its key is not in this site's key file. Set it again. {_from_backup(keys)}"
    return SecretView(name=row.name, created_by=row.created_by, changed_at=row.changed_at, problem=problem)


def _from_backup(keys: Collection[str]) -> str:
    """How a lost key comes back. A file that has *keys* is not to be replaced: what was set since needs them."""
    way = f"Or take the key from a backup that was made when it still worked (tar -xzf BACKUP {FILE}): "
    if not keys:
        return f"{way}put that file into the site's folder."
    return f"{way}add what is in its list `keys` to that of {FILE} in the site's folder, which later secrets need."


def _running(session: Session, project: Project) -> int:
    return session.scalar(select(func.count()).select_from(Kernel).where(Kernel.project_id == project.id)) or 0

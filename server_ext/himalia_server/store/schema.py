"""Tables. Times are UTC seconds since the epoch as float; ids sort by creation time."""

from __future__ import annotations

import secrets
import threading
import time
from typing import Any

from sqlalchemy import JSON, BigInteger, Float, ForeignKey, Index, Integer, LargeBinary, String, Text, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


def now() -> float:
    """UTC seconds since the epoch."""
    return time.time()


_id_lock = threading.Lock()
_id_time = 0
"""Milliseconds in the newest id."""


def new_id() -> str:
    """A short unique id whose text order is the order of creation, also when the clock is put back."""
    global _id_time
    with _id_lock:
        _id_time = max(_id_time + 1, int(time.time() * 1000))
        return f"{_id_time:011x}{secrets.token_hex(4)}"


def continue_ids(newest: str) -> None:
    """Have the next ids sort behind *newest*, which an earlier process has made."""
    global _id_time
    with _id_lock:
        _id_time = max(_id_time, int(newest[:11], 16))


_Count = BigInteger().with_variant(Integer, "sqlite")
"""Counts up for ever. SQLite's Integer has 64 bits, and only that name numbers rows by itself."""


class Base(DeclarativeBase):
    """Base of all tables."""

    type_annotation_map = {dict[str, Any]: JSON, list[Any]: JSON}  # noqa: RUF012 - SQLAlchemy reads it so


class User(Base):
    """A person: on a laptop the OS account, on a Hub the Hub's user."""

    __tablename__ = "users"
    name: Mapped[str] = mapped_column(String(128), primary_key=True)
    site_role: Mapped[str | None] = mapped_column(String(16))
    created_at: Mapped[float] = mapped_column(Float, default=now)


class Token(Base):
    """An opaque credential, stored as its SHA-256 only."""

    __tablename__ = "tokens"
    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    sha256: Mapped[str] = mapped_column(String(64), unique=True)
    purpose: Mapped[str] = mapped_column(String(16))
    user: Mapped[str] = mapped_column(ForeignKey("users.name"))
    project_id: Mapped[str | None] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    run_id: Mapped[str | None] = mapped_column(String(32))
    stage: Mapped[str | None] = mapped_column(String(64))
    role: Mapped[str | None] = mapped_column(String(16))
    file: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[float] = mapped_column(Float, default=now)
    expires_at: Mapped[float | None] = mapped_column(Float)
    revoked_at: Mapped[float | None] = mapped_column(Float)
    renewed: Mapped[bool] = mapped_column(default=False)
    __table_args__ = (
        Index("ix_tokens_run_id", "run_id"),
        Index("ix_tokens_project_id", "project_id"),
        Index("ix_tokens_expires_at", "expires_at"),
    )


class Project(Base):
    """A folder with a himalia.toml."""

    __tablename__ = "projects"
    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    slug: Mapped[str] = mapped_column(String(63), unique=True)
    path: Mapped[str] = mapped_column(Text, unique=True)
    python: Mapped[str] = mapped_column(Text)
    kernelspec: Mapped[str] = mapped_column(String(200))
    created_by: Mapped[str] = mapped_column(ForeignKey("users.name"))
    created_at: Mapped[float] = mapped_column(Float, default=now)
    deleting: Mapped[str | None] = mapped_column(String(16))
    """"keep" or "remove" (its folder) once its deletion has begun; nothing new starts in it from then on."""
    archived_at: Mapped[float | None] = mapped_column(Float)
    """Hidden, and nothing runs in it."""
    trashed_at: Mapped[float | None] = mapped_column(Float)
    """Deleted, and kept for some days in which that can be undone."""
    trash: Mapped[str | None] = mapped_column(Text)
    """Where its folder was put when it was deleted with its files."""
    environment_id: Mapped[str | None] = mapped_column(String(32))
    """The environment in use; null: the site's own."""


class Environment(Base):
    """An environment on the disk, shared by all projects whose lock is the same."""

    __tablename__ = "environments"
    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    key: Mapped[str] = mapped_column(String(64), unique=True)
    """SHA-256 over lock, interpreter and kind."""
    lock: Mapped[str] = mapped_column(String(80))
    folder: Mapped[str] = mapped_column(Text)
    python: Mapped[str] = mapped_column(Text)
    overlay: Mapped[bool] = mapped_column()
    """Whether it lies over the site's own packages."""
    packages: Mapped[int] = mapped_column(Integer)
    bytes: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[float] = mapped_column(Float, default=now)
    used_at: Mapped[float] = mapped_column(Float, default=now)


class Build(Base):
    """One making of an environment of a project; its log is a file of the site."""

    __tablename__ = "builds"
    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    state: Mapped[str] = mapped_column(String(16))
    step: Mapped[str | None] = mapped_column(Text)
    source: Mapped[str] = mapped_column(String(80))
    """Digest of what was asked for: the manifest's table and the files that it names."""
    name: Mapped[str | None] = mapped_column(String(63))
    """Of the environment, by [environments] of the manifest; null: the project's own."""
    error: Mapped[str | None] = mapped_column(Text)
    package: Mapped[str | None] = mapped_column(String(200))
    """The package that could not be had, when one is to blame."""
    environment_id: Mapped[str | None] = mapped_column(String(32))
    created_by: Mapped[str] = mapped_column(String(128))
    created_at: Mapped[float] = mapped_column(Float, default=now)
    ended_at: Mapped[float | None] = mapped_column(Float)
    __table_args__ = (Index("ix_builds_project_id_id", "project_id", "id"),)


class Secret(Base):
    """A value that kernels and stages of a project find in their environment; the key to it lies outside the store."""

    __tablename__ = "secrets"
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(String(128), primary_key=True)
    sealed: Mapped[bytes] = mapped_column(LargeBinary)
    created_by: Mapped[str] = mapped_column(String(128))
    changed_at: Mapped[float] = mapped_column(Float, default=now)


class Component(Base):
    """One published version of a project's `src/`; it outlives the project, since others use it."""

    __tablename__ = "components"
    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    project_id: Mapped[str | None] = mapped_column(ForeignKey("projects.id", ondelete="SET NULL"), index=True)
    name: Mapped[str] = mapped_column(String(130))
    """`project/component`."""
    version: Mapped[str] = mapped_column(String(64))
    digest: Mapped[str] = mapped_column(String(80))
    """The snapshot's."""
    modules: Mapped[list[Any]] = mapped_column(default=list)
    """Names that it makes importable."""
    note: Mapped[str] = mapped_column(Text, default="")
    created_by: Mapped[str] = mapped_column(String(128))
    created_at: Mapped[float] = mapped_column(Float, default=now)
    __table_args__ = (UniqueConstraint("name", "version"),)


class ComponentUse(Base):
    """A component that somebody who may see it has given to a project."""

    __tablename__ = "component_uses"
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(String(130), primary_key=True)
    """`project/component`, in whatever version."""
    added_by: Mapped[str] = mapped_column(String(128))
    added_at: Mapped[float] = mapped_column(Float, default=now)
    __table_args__ = (Index("ix_component_uses_name", "name"),)


class Member(Base):
    """A person's role in a project."""

    __tablename__ = "members"
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"), primary_key=True)
    user: Mapped[str] = mapped_column(ForeignKey("users.name"), primary_key=True)
    role: Mapped[str] = mapped_column(String(16))
    __table_args__ = (Index("ix_members_user", "user"),)


class RequestKey(Base):
    """What a creating request with an idempotency key has made, so that its repetition makes nothing more."""

    __tablename__ = "request_keys"
    owner: Mapped[str] = mapped_column(String(200), primary_key=True)
    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(64))
    """SHA-256 over what was asked; the same key with another request is a mistake."""
    subject: Mapped[str] = mapped_column(String(200))
    created_at: Mapped[float] = mapped_column(Float, default=now)
    __table_args__ = (Index("ix_request_keys_created_at", "created_at"),)


class AuditRow(Base):
    """One change or denial; each row's hash covers the row before it, so that a gap or an edit shows."""

    __tablename__ = "audit"
    seq: Mapped[int] = mapped_column(_Count, primary_key=True, autoincrement=True)
    at: Mapped[float] = mapped_column(Float)
    actor: Mapped[str] = mapped_column(String(128))
    purpose: Mapped[str] = mapped_column(String(16))
    action: Mapped[str] = mapped_column(String(64))
    project: Mapped[str | None] = mapped_column(String(63))
    subject: Mapped[str | None] = mapped_column(Text)
    outcome: Mapped[str] = mapped_column(String(16))
    detail: Mapped[dict[str, Any]] = mapped_column(default=dict)
    previous: Mapped[str] = mapped_column(String(64))
    hash: Mapped[str] = mapped_column(String(64))
    __table_args__ = ({"sqlite_autoincrement": True},)


class EventRow(Base):
    """One published change of state; `seq` numbers never repeat and never go back."""

    __tablename__ = "events"
    seq: Mapped[int] = mapped_column(_Count, primary_key=True, autoincrement=True)
    at: Mapped[float] = mapped_column(Float)
    project_id: Mapped[str | None] = mapped_column(String(32))
    project: Mapped[str | None] = mapped_column(String(63))
    topic: Mapped[str] = mapped_column(String(64))
    subject: Mapped[str | None] = mapped_column(String(200))
    data: Mapped[dict[str, Any]] = mapped_column(default=dict)
    __table_args__ = (Index("ix_events_at", "at"), {"sqlite_autoincrement": True})


class Kernel(Base):
    """An interactive kernel that was given a token."""

    __tablename__ = "kernels"
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"), index=True)
    token_id: Mapped[str] = mapped_column(String(32))
    owner_pid: Mapped[int] = mapped_column(Integer)
    owner_ticks: Mapped[str] = mapped_column(String(80))
    environment: Mapped[str | None] = mapped_column(String(80))
    """Digest of the lock that it was started with."""
    created_at: Mapped[float] = mapped_column(Float, default=now)


class Cluster(Base):
    """A named Dask cluster of a project; its holder process is a supervised child."""

    __tablename__ = "clusters"
    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(63))
    profile: Mapped[str] = mapped_column(String(63))
    workers: Mapped[int] = mapped_column(Integer)
    threads_per_worker: Mapped[int] = mapped_column(Integer)
    memory_limit: Mapped[str] = mapped_column(String(32))
    state: Mapped[str] = mapped_column(String(16))
    error: Mapped[str | None] = mapped_column(Text)
    created_by: Mapped[str] = mapped_column(String(128))
    created_at: Mapped[float] = mapped_column(Float, default=now)
    __table_args__ = (UniqueConstraint("project_id", "name"),)


class Deployment(Base):
    """A stable endpoint; its name is part of its address and unique at the site."""

    __tablename__ = "deployments"
    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(String(63), unique=True)
    state: Mapped[str] = mapped_column(String(16))
    error: Mapped[str | None] = mapped_column(Text)
    created_by: Mapped[str] = mapped_column(String(128))
    created_at: Mapped[float] = mapped_column(Float, default=now)


class Revision(Base):
    """One model version behind a deployment."""

    __tablename__ = "revisions"
    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    deployment_id: Mapped[str] = mapped_column(ForeignKey("deployments.id", ondelete="CASCADE"), index=True)
    number: Mapped[int] = mapped_column(Integer)
    model_name: Mapped[str] = mapped_column(String(255))
    model_version: Mapped[str] = mapped_column(String(32))
    model_digest: Mapped[str] = mapped_column(String(80))
    model_path: Mapped[str] = mapped_column(Text)
    sources: Mapped[str | None] = mapped_column(String(80))
    """Snapshot of the modules that the model may import: of the run that made it, else of the day it was deployed."""
    weight: Mapped[int] = mapped_column(Integer)
    requested: Mapped[bool] = mapped_column(default=False)
    """Asked for by somebody who may not deploy; waits for one who may. Bound to the digest above."""
    created_by: Mapped[str] = mapped_column(String(128))
    created_at: Mapped[float] = mapped_column(Float, default=now)


class DeploymentKey(Base):
    """A predict-only token of one deployment, stored as its SHA-256."""

    __tablename__ = "deployment_keys"
    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    deployment_id: Mapped[str] = mapped_column(ForeignKey("deployments.id", ondelete="CASCADE"), index=True)
    sha256: Mapped[str] = mapped_column(String(64), unique=True)
    label: Mapped[str] = mapped_column(String(128))
    created_by: Mapped[str] = mapped_column(String(128))
    created_at: Mapped[float] = mapped_column(Float, default=now)
    expires_at: Mapped[float | None] = mapped_column(Float)
    revoked_at: Mapped[float | None] = mapped_column(Float)

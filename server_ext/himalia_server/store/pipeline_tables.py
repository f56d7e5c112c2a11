"""Tables of pipelines: runs, what is known of stages, schedules, verifications, notices.

Digests are those of the content store. Times are UTC seconds since the epoch.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Float, ForeignKey, Index, Integer, LargeBinary, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from .schema import Base, new_id, now


class Run(Base):
    """One execution of a project's pipeline, or of one notebook, on one snapshot."""

    __tablename__ = "runs"
    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    kind: Mapped[str] = mapped_column(String(16), default="pipeline")
    """"pipeline", "notebook" or "verification"."""
    trigger: Mapped[str] = mapped_column(String(16), default="person")
    """What asked for it: "person", "schedule", "sweep", "verification"."""
    status: Mapped[str] = mapped_column(String(24))
    params: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """Per stage: what was given beyond the manifest's."""
    options: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """Which stages are run, and how; see `pipelines.requests.Options`."""
    snapshot: Mapped[str] = mapped_column(String(80))
    code: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """`commit`, `branch`, `dirty` of git, when the project is a repository."""
    environment: Mapped[str | None] = mapped_column(String(80))
    """Digest of the environment's lock; null: the site's own."""
    manifest: Mapped[dict[str, Any]] = mapped_column(default=dict)
    reason: Mapped[str | None] = mapped_column(Text)
    origin_id: Mapped[str | None] = mapped_column(String(32))
    """The failed run that this one resumes."""
    sweep_id: Mapped[str | None] = mapped_column(String(32))
    schedule_id: Mapped[str | None] = mapped_column(String(32))
    slot: Mapped[str | None] = mapped_column(String(80))
    """Of the schedule, which it is the run of."""
    cancel_requested_by: Mapped[str | None] = mapped_column(String(128))
    created_by: Mapped[str] = mapped_column(String(128))
    request_id: Mapped[str | None] = mapped_column(String(64))
    """The request that started it, by which its lines are found in all logs."""
    created_at: Mapped[float] = mapped_column(Float, default=now)
    started_at: Mapped[float | None] = mapped_column(Float)
    ended_at: Mapped[float | None] = mapped_column(Float)
    __table_args__ = (
        Index("ix_runs_project_id_id", "project_id", "id"),
        Index("ix_runs_status", "status"),
        Index("ix_runs_sweep_id", "sweep_id"),
        Index("ix_runs_schedule_id", "schedule_id"),
    )


class StageRun(Base):
    """One stage within a run."""

    __tablename__ = "stage_runs"
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    stage: Mapped[str] = mapped_column(String(64), primary_key=True)
    position: Mapped[int] = mapped_column(Integer)
    status: Mapped[str] = mapped_column(String(24))
    reason: Mapped[str | None] = mapped_column(Text)
    """Why it waits, why it ran, or why it did not."""
    params: Mapped[dict[str, Any]] = mapped_column(default=dict)
    key: Mapped[str | None] = mapped_column(String(80))
    """Digest of `parts`: what decides whether its result is known already."""
    parts: Mapped[str | None] = mapped_column(String(80))
    """The object that lists the parts of the key."""
    cached_from: Mapped[str | None] = mapped_column(String(32))
    """The run that made the result which it was skipped for."""
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    """That have ended."""
    outputs: Mapped[dict[str, Any]] = mapped_column(default=dict)
    outcome: Mapped[dict[str, Any]] = mapped_column(default=dict)
    cell: Mapped[int] = mapped_column(Integer, default=0)
    cells: Mapped[int] = mapped_column(Integer, default=0)
    label: Mapped[str | None] = mapped_column(Text)
    tracking_run: Mapped[str | None] = mapped_column(String(64))
    notebook_digest: Mapped[str | None] = mapped_column(String(80))
    started_at: Mapped[float | None] = mapped_column(Float)
    ended_at: Mapped[float | None] = mapped_column(Float)


class Attempt(Base):
    """One try of a stage that was tried again: kept as it ended."""

    __tablename__ = "attempts"
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    stage: Mapped[str] = mapped_column(String(64), primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    status: Mapped[str] = mapped_column(String(24))
    outcome: Mapped[dict[str, Any]] = mapped_column(default=dict)
    notebook_digest: Mapped[str | None] = mapped_column(String(80))
    log_digest: Mapped[str | None] = mapped_column(String(80))
    started_at: Mapped[float | None] = mapped_column(Float)
    ended_at: Mapped[float] = mapped_column(Float)


class StageResult(Base):
    """What a stage once made of a key. Two results of one key are none: the stage is not deterministic."""

    __tablename__ = "stage_results"
    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    stage: Mapped[str] = mapped_column(String(64))
    key: Mapped[str] = mapped_column(String(80))
    parts: Mapped[str] = mapped_column(String(80))
    outputs: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """Path → digest."""
    reads: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """Path → digest of files of the project that it opened without having declared them."""
    outputs_digest: Mapped[str] = mapped_column(String(80))
    trusted: Mapped[bool] = mapped_column(default=True)
    notebook_digest: Mapped[str | None] = mapped_column(String(80))
    run_id: Mapped[str] = mapped_column(String(32))
    created_at: Mapped[float] = mapped_column(Float, default=now)
    used_at: Mapped[float] = mapped_column(Float, default=now)
    __table_args__ = (
        UniqueConstraint("project_id", "key", "outputs_digest"),
        Index("ix_stage_results_project_id_stage", "project_id", "stage", "id"),
    )


class Lease(Base):
    """A slot that somebody has in a pool; it is lost when it is not renewed."""

    __tablename__ = "leases"
    pool: Mapped[str] = mapped_column(String(80), primary_key=True)
    holder: Mapped[str] = mapped_column(String(160), primary_key=True)
    slots: Mapped[int] = mapped_column(Integer, default=1)
    taken_at: Mapped[float] = mapped_column(Float, default=now)
    expires_at: Mapped[float] = mapped_column(Float)


class Sweep(Base):
    """Runs of one pipeline over a grid of parameters."""

    __tablename__ = "sweeps"
    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"), index=True)
    grid: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """Stage → parameter → list of values."""
    created_by: Mapped[str] = mapped_column(String(128))
    created_at: Mapped[float] = mapped_column(Float, default=now)


class Schedule(Base):
    """When a pipeline or a notebook runs by itself, on the code that it is pinned to."""

    __tablename__ = "schedules"
    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(63))
    kind: Mapped[str] = mapped_column(String(16))
    """"pipeline" or "notebook"."""
    notebook: Mapped[str | None] = mapped_column(Text)
    inputs: Mapped[list[Any]] = mapped_column(default=list)
    """Of a notebook that is no stage."""
    params: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """Of a pipeline: per stage."""
    options: Mapped[dict[str, Any]] = mapped_column(default=dict)
    cron: Mapped[str] = mapped_column(String(200))
    zone: Mapped[str] = mapped_column(String(64))
    catch_up: Mapped[str] = mapped_column(String(16), default="last")
    catch_up_most: Mapped[int] = mapped_column(Integer, default=1)
    overlap: Mapped[str] = mapped_column(String(16), default="skip")
    queue_most: Mapped[int] = mapped_column(Integer, default=1)
    deadline: Mapped[float | None] = mapped_column(Float)
    """Seconds after its slot within which a run may begin."""
    paused: Mapped[bool] = mapped_column(default=False)
    pinned: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """`pipelines.Pinned`: snapshot, manifest, code."""
    decided_until: Mapped[float] = mapped_column(Float)
    """All slots up to here are decided."""
    created_by: Mapped[str] = mapped_column(String(128))
    created_at: Mapped[float] = mapped_column(Float, default=now)
    changed_at: Mapped[float] = mapped_column(Float, default=now)
    __table_args__ = (UniqueConstraint("project_id", "name"),)


class ScheduleSlot(Base):
    """What became of one slot of a schedule; each slot once, for ever."""

    __tablename__ = "schedule_slots"
    schedule_id: Mapped[str] = mapped_column(ForeignKey("schedules.id", ondelete="CASCADE"), primary_key=True)
    slot: Mapped[str] = mapped_column(String(80), primary_key=True)
    """Local wall time; with its offset when an hour happens twice and both count."""
    due_at: Mapped[float] = mapped_column(Float)
    state: Mapped[str] = mapped_column(String(16))
    """"queued", "started" or "skipped"."""
    run_id: Mapped[str | None] = mapped_column(String(32))
    reason: Mapped[str | None] = mapped_column(Text)
    decided_at: Mapped[float] = mapped_column(Float, default=now)
    __table_args__ = (Index("ix_schedule_slots_schedule_id_due_at", "schedule_id", "due_at"),)


class Verification(Base):
    """A notebook executed again in a clean kernel, and compared with what it shows."""

    __tablename__ = "verifications"
    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    notebook: Mapped[str] = mapped_column(Text)
    notebook_digest: Mapped[str] = mapped_column(String(80))
    snapshot: Mapped[str | None] = mapped_column(String(80))
    environment: Mapped[str | None] = mapped_column(String(80))
    options: Mapped[dict[str, Any]] = mapped_column(default=dict)
    runs: Mapped[list[Any]] = mapped_column(default=list)
    """Ids of the runs that executed it."""
    status: Mapped[str] = mapped_column(String(16))
    """"running", "ended", "failed" or "cancelled"."""
    verdict: Mapped[str | None] = mapped_column(String(24))
    summary: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """Counts, the first cell that differs, the likely cause."""
    comparison: Mapped[str | None] = mapped_column(String(80))
    """The object that holds all cells with both outputs."""
    reason: Mapped[str | None] = mapped_column(Text)
    created_by: Mapped[str] = mapped_column(String(128))
    created_at: Mapped[float] = mapped_column(Float, default=now)
    ended_at: Mapped[float | None] = mapped_column(Float)
    __table_args__ = (Index("ix_verifications_project_id_notebook", "project_id", "notebook", "id"),)


class Notifier(Base):
    """Where a project's failures and recoveries are told."""

    __tablename__ = "notifiers"
    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(63))
    kind: Mapped[str] = mapped_column(String(16))
    """"webhook" or "email"."""
    target: Mapped[str] = mapped_column(Text)
    sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    """The secret that webhooks are signed with."""
    created_by: Mapped[str] = mapped_column(String(128))
    created_at: Mapped[float] = mapped_column(Float, default=now)
    __table_args__ = (UniqueConstraint("project_id", "name"),)


class Notice(Base):
    """A failure or a recovery that people are told about in JupyterLab."""

    __tablename__ = "notices"
    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    kind: Mapped[str] = mapped_column(String(16))
    """"failure" or "recovery"."""
    run_id: Mapped[str | None] = mapped_column(String(32))
    schedule: Mapped[str | None] = mapped_column(String(63))
    body: Mapped[dict[str, Any]] = mapped_column(default=dict)
    read_by: Mapped[list[Any]] = mapped_column(default=list)
    created_at: Mapped[float] = mapped_column(Float, default=now)
    __table_args__ = (Index("ix_notices_project_id_id", "project_id", "id"),)


class Delivery(Base):
    """A notice on its way to one notifier."""

    __tablename__ = "deliveries"
    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    notice_id: Mapped[str] = mapped_column(ForeignKey("notices.id", ondelete="CASCADE"), index=True)
    notifier_id: Mapped[str] = mapped_column(ForeignKey("notifiers.id", ondelete="CASCADE"), index=True)
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    next_at: Mapped[float | None] = mapped_column(Float, index=True)
    """Null: delivered, or given up."""
    delivered_at: Mapped[float | None] = mapped_column(Float)
    error: Mapped[str | None] = mapped_column(Text)

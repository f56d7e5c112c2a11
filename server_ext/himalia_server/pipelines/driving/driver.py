"""One run: what is unchanged is taken from the cache, the rest runs side by side as its inputs become known."""

from __future__ import annotations

import json
import logging
import threading

from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

from ...projects import SHARED, EnvironmentGrant, Used, seconds
from ...service.logs import request_id
from ...service.problems import Problem, StorageFull
from ...service.replies import as_problem
from ...service.site import private_folder, write_private
from ...store import Run, StageRun, now
from ..leases import Pool, Wait, holder_of
from ..models import GOOD, TERMINAL
from ..planning import Planned
from .job import Job, problem_of
from .recorder import Recorder
from .rooms import End, Outcome, Rooms, child_name
from .state import Fresh, RunState

log = logging.getLogger(__name__)
AGAIN_SECONDS = 2.0
"""Between attempts while the store takes nothing."""
LOOK_SECONDS = 0.5
"""Between looks whether somebody has cancelled, while nothing else happens."""


class EnvironmentRefused(RuntimeError):
    """The environment of a run cannot be built."""


class Driver:
    """Drives one run to its end in the calling thread, its stages in threads of their own.

    `ending` is set once the run is to stop.
    """

    state: RunState
    recorder: Recorder

    def __init__(self, rooms: Rooms, run_id: str, fresh: Fresh | None = None) -> None:
        self.rooms, self.run_id = rooms, run_id
        self._fresh = fresh
        self.ending: End | None = None
        self.settled = threading.Event()
        """Set once it is known what is to be done: what is unchanged is skipped, and a run that needs no more ended."""
        self._lock = threading.RLock()
        self._jobs: dict[str, Job] = {}
        self._fault: BaseException | None = None

    def run(self) -> None:
        """Drive the run to its end, or until the service stops."""
        try:
            self._drive()
        finally:
            self.settled.set()
            self._join()

    def _drive(self) -> None:
        """Drive the run; an unexpected fault of ours ends it as failed, with the reason.

        While the store takes nothing (locked, away) it waits: what is in the store says where to go on.
        """
        stopping = self.rooms.stopping
        while not stopping.is_set():
            try:
                self._run()
                return
            except DBAPIError as error:
                # stages that run are not waited for: their threads know how to go on
                log.warning("the store does not answer; the run goes on when it does", exc_info=error)
                with self._lock:
                    self._fault = None
                problem = as_problem(error, self.rooms.context.site.home)
                if problem is None or isinstance(problem, StorageFull):
                    self._abandon(_reason(error, problem))
                    return
            except Exception as error:
                if stopping.is_set():
                    return
                log.exception("run ended by a fault", extra={"run": self.run_id})
                self._abandon(_reason(error, as_problem(error, self.rooms.context.site.home)))
                return
            stopping.wait(AGAIN_SECONDS)

    def _join(self) -> None:
        with self._lock:
            jobs = list(self._jobs.values())
        for job in jobs:
            job.thread.join()

    def holder(self, name: str) -> str:
        """Who holds the slots of a stage of this run."""
        return holder_of(self.state.project.slug, self.run_id, name)

    def _run(self) -> None:
        fresh, self._fresh = self._fresh, None  # another try reads what this one has changed
        self.state = RunState(self.rooms, self.run_id, fresh)
        self.recorder = Recorder(self.rooms, self.state)
        request_id.set(self.state.run.request_id)  # of this thread, which is the run's own
        try:
            used = self._environments()
        except EnvironmentRefused as refusal:
            self.recorder.finish("failed", str(refusal))
            return
        if used is None:
            if self.ending is not None:
                self._end_all(self.ending)
                self.recorder.finish(*self._verdict())
            return
        self.state.set_scene(used)
        self._plan()
        if not TERMINAL.issuperset(self.state.statuses.values()):
            self.settled.set()
        while not self.rooms.stopping.is_set():
            self.look_for_end()
            with self._lock:
                if self._fault is not None:
                    raise self._fault
            if self._advance():
                self.recorder.finish(*self._verdict())
                return
            self.rooms.leases.wait(LOOK_SECONDS)

    def _plan(self) -> None:
        """Skip in one step what is unchanged."""
        scene, statuses = self.state.scene, self.state.statuses
        names = [name for name in scene.graph.order if statuses[name] in ("pending", "waiting")]
        unfinished = {name for name, status in statuses.items() if status not in GOOD}.difference(names)
        with self.rooms.context.database.read() as session:
            plans = self.rooms.planner.plan(session, scene, names, self.state.produced(), unfinished)
        self.recorder.skip([planned for planned in plans if planned.action == "skip"])

    def look_for_end(self) -> None:
        """Notice that somebody has cancelled, or that the run's time is up; then stop what runs, once."""
        with self._lock:
            if self.ending is not None:
                return
            with self.rooms.context.database.read() as session:
                columns = select(Run.cancel_requested_by, Run.started_at)  # its manifest may be long
                by, started = session.execute(columns.where(Run.id == self.run_id)).one()
            limit = self.state.options.timeout
            if by is not None:
                self.ending = End("cancelled", f"The run was cancelled by {by}")
            elif limit and started and now() > started + seconds(limit):
                self.ending = End("timed_out", f"The run reached its time limit of {limit}")
            else:
                return
            running = list(self._jobs)
        for name in running:
            self.rooms.context.children.stop(child_name(self.run_id, name))

    def _advance(self) -> bool:
        """Begin all that can begin, the earlier ones first; returns whether all stages have ended."""
        done = True
        full: dict[str, Pool] = {}
        """Pools that an earlier stage waits for: a slot that becomes free meanwhile is not for a later one."""
        statuses, ends = self._look()
        for name in self.state.scene.graph.order:
            status = statuses[name]
            if status in TERMINAL:
                continue
            done = False
            with self._lock:
                running = name in self._jobs
            if running or not (ends or status == "running" or self._is_decided(name, statuses)):
                continue
            if status == "running" or self._may_begin(name):
                self._begin(name, full, adopted=status == "running")
            statuses, ends = self._look()  # what was skipped or ended just now lets others begin
        return done

    def _is_decided(self, name: str, statuses: dict[str, str]) -> bool:
        """Whether what a stage waits for has ended well, or a part of it badly."""
        before = [statuses[other] for other in self.state.scene.graph.waits[name]]
        return all(status in GOOD for status in before) or any(
            status in TERMINAL and status not in GOOD for status in before
        )

    def _look(self) -> tuple[dict[str, str], bool]:
        """All statuses as they are, and whether they end stages that wait for others still."""
        statuses = self.state.statuses
        failed = not self.state.options.keep_going and any(
            status in TERMINAL and status not in GOOD for status in statuses.values()
        )
        return statuses, failed or self.ending is not None

    def _may_begin(self, name: str) -> bool:
        """Whether a stage's time has come; ends it when it never will."""
        statuses = self.state.statuses
        if self.ending is not None:
            self.recorder.end(name, {"status": self.ending.status, "error": f"{self.ending.words}."})
            return False
        waits = self.state.scene.graph.waits[name]
        bad = sorted(other for other in waits if statuses[other] in TERMINAL and statuses[other] not in GOOD)
        if bad:
            error = f"not run, because {', '.join(bad)} did not succeed"
            self.recorder.end(name, {"status": "upstream_failed", "error": error})
            return False
        failed = sorted(other for other, status in statuses.items() if status in TERMINAL and status not in GOOD)
        if failed and not self.state.options.keep_going:
            error = f"not begun, because {failed[0]} did not succeed (keep_going runs what does not depend on it)"
            self.recorder.end(name, {"status": "not_run", "error": error})
            return False
        return all(statuses[other] in GOOD for other in waits)

    def _begin(self, name: str, full: dict[str, Pool], *, adopted: bool) -> None:
        planned = None if adopted else self._decide(name)
        if planned is not None and planned.action == "skip":
            self.recorder.skip([planned])
            return
        if planned is not None:
            pools = self._pools(name, planned)
            waits = next((full[pool.name] for pool in pools if pool.name in full), None)
            why = f"an earlier stage of this run waits for {waits.title}" if waits else None
            if why is None and (wait := self.take(name, planned)) is not None:
                full[wait.pool.name], why = wait.pool, wait.words
            if why is not None:
                self.recorder.waiting(name, f"waiting because {why}")
                return
            if not self._may_begin(name):  # another one failed just now
                self.rooms.leases.give_back(self.holder(name))
                return
            # somebody else may have made it while this one waited
            self.state.scene.newest.pop(name, None)
            planned = self._decide(name)
            if planned.action == "skip":
                self.rooms.leases.give_back(self.holder(name))
                self.recorder.skip([planned])
                return
            self.recorder.note_key(name, planned)
        else:
            self.take(
                name, None
            )  # it runs already: it is counted when there is room, and not held up when there is none
        job = Job(self, name, planned)
        with self._lock:
            self._jobs[name] = job
        job.thread.start()

    def _decide(self, name: str) -> Planned:
        with self.rooms.context.database.read() as session:
            return self.rooms.planner.decide(session, self.state.scene, name, self.state.produced())

    def take(self, name: str, planned: Planned | None) -> Wait | None:
        """The slots that a stage needs; otherwise why it waits."""
        pools, slug = self._pools(name, planned), self.state.project.slug
        return self.rooms.leases.take(self.holder(name), pools, run=self.run_id, project=slug)

    def _pools(self, name: str, planned: Planned | None) -> list[Pool]:
        stage, options = self.state.manifest.stages[name], self.state.options
        pools = [Pool("site", self.rooms.stages, "the site")]
        if options.parallel:
            pools.append(Pool(f"run/{self.run_id}", options.parallel, "this run"))
        if stage.pool:
            pools.append(Pool(f"pool/{stage.pool}", self.rooms.pools.get(stage.pool, 1), f"the pool {stage.pool}"))
        if planned is not None and planned.parts is not None and planned.deterministic and not options.force:
            key = f"{self.state.project.slug}/{planned.parts.key[4:]}"[:80]
            pools.append(Pool(key, 1, "the making of the same result"))
        return pools

    def job_ended(self, job: Job, outcome: Outcome | None) -> None:
        """Called by a stage's thread: it has ended; None: the service stops, and the next one goes on with it."""
        if outcome is not None:
            self.recorder.end(job.name, outcome, ran=True)
        with self._lock:
            self._jobs.pop(job.name, None)
        if outcome is not None:
            self.rooms.leases.give_back(self.holder(job.name))

    def job_failed(self, job: Job, error: BaseException) -> None:
        """Called by a stage's thread that a fault of ours, or of the machine, has ended."""
        log.error("a stage could not be started or ended: %s", problem_of(error), exc_info=error)
        with self._lock:
            self._jobs.pop(job.name, None)
            self._fault = self._fault or error
        with self.rooms.leases.changed:
            self.rooms.leases.changed.notify_all()

    def _environments(self) -> dict[str | None, Used] | None:
        """What the run's stages run in, by name, once all is built; the same to the run's end. None: nothing is to run.

        Raises:
            EnvironmentRefused: one cannot be built.
        """
        kept = private_folder(self.state.folder) / "environments.json"
        if kept.exists():
            return {
                name or None: Used(
                    found["python"], EnvironmentGrant(**found["environment"]), overlay=bool(found["overlay"])
                )
                for name, found in json.loads(kept.read_text()).items()
            }
        stages = self.state.manifest.stages
        first = {stages[name].environment: name for name in reversed(self.state.params)}
        used = dict[str | None, Used]()
        for name, stage in first.items():
            found = self._environment(name, stage)
            if found is None:
                return None
            used[name] = found
        told = {
            name or "": {"python": one.python, "environment": one.environment.model_dump(), "overlay": one.overlay}
            for name, one in used.items()
        }
        self._note_environments({name: one.environment.digest for name, one in used.items()})
        write_private(kept, json.dumps(told))
        return used

    def _note_environments(self, digests: dict[str | None, str]) -> None:
        """Say what the run needs, by name, so that none of it is removed while the run goes on."""
        own = {name: digest for name, digest in digests.items() if digest != SHARED.digest}
        if own:
            with self.rooms.context.change() as change:
                run = change.session.get_one(Run, self.run_id)
                run.environment = own.pop(None, None)
                run.options = run.options | {"environments": sorted(own.values())}

    def _environment(self, name: str | None, stage: str) -> Used | None:
        """The environment *name*, once it is built; *stage* tells that it waits for it."""
        while not self.rooms.stopping.is_set():
            self.look_for_end()
            if self.ending is not None:
                return None
            used = self.rooms.projects.kernels.environment_for_run(self.state.project, name, begun=True)
            if used.refused is not None:
                raise EnvironmentRefused(used.refused)
            if used.waiting is None:
                return used
            if self.state.statuses[stage] not in TERMINAL:
                self.recorder.waiting(stage, used.waiting)
            self.settled.set()
            self.rooms.stopping.wait(LOOK_SECONDS)
        return None

    def _end_all(self, ending: End) -> None:
        for name, status in self.state.statuses.items():
            if status not in TERMINAL:
                self.recorder.end(name, {"status": ending.status, "error": f"{ending.words}."})

    def _verdict(self) -> tuple[str, str | None]:
        statuses = self.state.statuses
        if self.ending is not None and self.ending.status in statuses.values():
            return self.ending.status, f"{self.ending.words}."
        if "cancelled" in statuses.values():
            return "cancelled", None
        bad = [name for name, status in statuses.items() if status not in (*GOOD, "upstream_failed", "not_run")]
        return ("failed", f"{', '.join(bad)}: {statuses[bad[0]]}") if bad else ("succeeded", None)

    def _abandon(self, reason: str) -> None:
        """End the run after a fault of ours: nothing stays open, nothing stays running. Tries until it is written."""
        self.ending = End("failed", reason)
        while not self.rooms.stopping.is_set():
            try:
                self._try_abandon(reason)
                return
            except (OSError, DBAPIError):
                log.exception("the end of a run cannot be written yet", extra={"run": self.run_id})
            self.rooms.stopping.wait(AGAIN_SECONDS)

    def _try_abandon(self, reason: str) -> None:
        with self.rooms.context.database.read() as session:
            run = session.get(Run, self.run_id)
            rows = list(session.scalars(select(StageRun).where(StageRun.run_id == self.run_id)))
        if run is None or run.status in TERMINAL:
            return
        for row in rows:
            if row.status not in TERMINAL:
                self.rooms.context.children.stop(child_name(self.run_id, row.stage))
        self._join()  # their threads see that the run ends, and put down what is left of them
        recorder = Recorder(self.rooms, RunState(self.rooms, self.run_id))
        for name, status in recorder.state.statuses.items():
            if status not in TERMINAL:
                recorder.close_tracking(name, {"status": "failed"}, None)
        recorder.finish("failed", reason)


def _reason(error: BaseException, problem: Problem | None) -> str:
    """Why a run was ended, for a person."""
    if isinstance(problem, StorageFull):
        return "The disk is full: free some space and run again."
    return problem.detail if problem else f"{error}"

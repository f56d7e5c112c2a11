"""The magics %pipeline and %stage."""

# mypy: disable-error-code="untyped-decorator,misc"

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

from IPython.core.error import TryNext, UsageError
from IPython.core.magic import Magics, line_magic, magics_class
from IPython.core.magic_arguments import argument, magic_arguments
from IPython.display import display

from himalia._connection import Connection, connect
from himalia._display import in_front_end
from himalia._errors import HimaliaError
from himalia._magics import one_line
from himalia._notebook import NAME_IT, Executed, inside, own_magics, own_notebook
from himalia._resources import Project
from himalia._runs import Run, words
from himalia._words import assignment, split

COMPLETION_SECONDS = 1.0  # a person types
WAIT_PATIENCE_SECONDS = 60.0  # a service that is started again meanwhile
RUN_OPTIONS = ("--only", "--from", "--to", "--force", "--keep-going", "-p")
STAGE_OPTIONS = ("--force", "--add", "--set", "--remove", "--notebook", "--input", "--output", "--param")


def _parsed(magic: Any, line: str) -> Namespace:
    """The options of a line; what is wrong in it becomes one line."""
    try:
        given: Namespace = magic.parser.parse_args(split(line))
    except HimaliaError as error:
        raise UsageError(" ".join(str(error).split())) from error
    return given


def _not_in_a_run(what: str) -> None:
    """A stage that starts runs, or changes what it is, would never come to an end."""
    if os.environ.get("HIMALIA_RUN"):
        stage = os.environ.get("HIMALIA_STAGE") or "a stage"
        raise UsageError(
            f"{what} works in a notebook that somebody has open; this one runs just now as {stage} of the run "
            f"{os.environ['HIMALIA_RUN']}. Remove the line from the notebook, or use it in a console."
        )


@magics_class
class PipelineMagics(Magics):
    """The pipeline from a notebook's cells. *executed*: the cells that ran in this kernel."""

    def __init__(self, shell: Any, executed: Executed) -> None:
        super().__init__(shell)
        self.executed = executed

    @magic_arguments()
    @argument("action", nargs="?", default="", metavar="ACTION", help="run or diff, as above; none: the stages.")
    @argument("stage", nargs="?", default="", metavar="STAGE", help="diff: which stage.")
    @argument("--only", action="append", default=[], metavar="STAGE", help="run: these stages and no others.")
    @argument("--from", dest="from_", action="append", default=[], metavar="STAGE", help="run: these and what follows.")
    @argument("--to", action="append", default=[], metavar="STAGE", help="run: these and all that they need.")
    @argument("--force", "-f", action="store_true", help="run: also what is unchanged.")
    @argument("--keep-going", "-k", action="store_true", help="run: all that does not depend on what fails.")
    @argument("--parallel", "-j", type=int, metavar="N", help="run: the most stages at a time.")
    @argument("--param", "-p", action="append", default=[], metavar="STAGE.NAME=VALUE", help="run: VALUE is TOML.")
    @line_magic
    def pipeline(self, line: str) -> Any:
        """Show what a run of the pipeline would do now, start one, or show what has changed.

        %pipeline                                   each stage: whether it would run, and why
        %pipeline run                               run what is not up to date; returns the run at once
        %pipeline run --to train -p train.seed=7    only up to a stage, with another parameter
        %pipeline diff STAGE                        what has changed since its last result, line by line

        A run goes on whatever becomes of this kernel; `.wait()` of what is returned waits for its end.
        """
        given = _parsed(self.pipeline, line)
        options = ("only", "from_", "to", "force", "keep_going", "parallel", "param")
        if given.action != "run" and any(getattr(given, name) for name in options):
            raise UsageError("these options belong to %pipeline run. See %pipeline?")
        if given.action not in ("", "run", "diff"):
            raise UsageError(f"%pipeline has no action {given.action!r}; it has run and diff. See %pipeline?")
        if (given.action == "diff") != bool(given.stage):
            form = "diff STAGE" if given.action == "diff" else f"{given.action} --only {given.stage}"
            raise UsageError(f"write %pipeline {form}")
        if not given.action:
            return one_line(lambda here: here.pipeline())
        if given.action == "diff":
            return one_line(lambda here: here.stage_changes(given.stage))
        _not_in_a_run("%pipeline run")
        return one_line(lambda here: _start(here, given))

    @magic_arguments()
    @argument("name", nargs="?", default="", metavar="NAME", help="The stage; default: the one of this notebook.")
    @argument("--force", "-f", action="store_true", help="Run it also when it is unchanged.")
    @argument("--add", metavar="NAME", help="Make this notebook a stage of that name.")
    @argument("--notebook", metavar="PATH", help="--add: another notebook of the project.")
    @argument("--input", action="append", default=[], metavar="PATH", help="--add: a file that it reads.")
    @argument("--output", action="append", default=[], metavar="PATH", help="--add: a file that it writes.")
    @argument("--param", "-p", action="append", default=[], metavar="NAME=VALUE", help="--add: VALUE is TOML.")
    @argument("--set", action="append", default=[], metavar="KEY=VALUE", help="Change a key; VALUE is TOML.")
    @argument("--remove", action="store_true", help="Take it out of the pipeline; the notebook stays.")
    @line_magic
    def stage(self, line: str) -> Any:
        """Run this notebook as the stage it is, or make it one.

        %stage                        run it, as the panel does: on a snapshot of the saved file, in a clean kernel
        %stage NAME                   run another stage
        %stage --add NAME --input data/a.csv --output build/b.csv --param seed=7
                                      make this notebook a stage
        %stage --set timeout="30m" --set params.seed=11
                                      change it; the comments of himalia.toml and its order stay
        %stage --remove               it is no stage any more

        Waits for the end and returns the run. Interrupting ends the waiting, not the run.
        """
        given = _parsed(self.stage, line)
        asked = [name for name in ("add", "set", "remove") if getattr(given, name)]
        if len(asked) > 1:
            raise UsageError(f"--{asked[0]} and --{asked[1]} do not go together. See %stage?")
        if given.add and given.name:
            raise UsageError("write %stage --add NAME, with one name. See %stage?")
        if not given.add and (given.notebook or given.input or given.output or given.param):
            raise UsageError("--notebook, --input, --output and --param belong to %stage --add. See %stage?")
        if given.force and asked:
            raise UsageError(f"--force is for a run; it does not go with --{asked[0]}. See %stage?")
        running = os.environ.get("HIMALIA_STAGE")
        if os.environ.get("HIMALIA_RUN") and not asked and given.name in ("", running):
            # what a notebook does by itself when it is run as the stage that it is
            said = f"This is the stage {running} of the run {os.environ['HIMALIA_RUN']}: nothing more is started."
            sys.stdout.write(said + "\n")
            return None
        _not_in_a_run("%stage")
        act: Callable[[Connection, Namespace], Any] = getattr(self, f"_{asked[0] if asked else 'run'}")
        return one_line(lambda here: act(here, given))

    def _add(self, here: Connection, given: Namespace) -> Any:
        project = here.project()
        notebook = inside(Path(project.path), Path(project.path, given.notebook)) if given.notebook else None
        settings: dict[str, object] = {"notebook": notebook or self._notebook(project)}
        params: dict[str, object] = {}
        for text in given.param:
            (name, *more), value = assignment(text, "NAME=VALUE, for example --param seed=7")
            if more:
                raise UsageError(f"{text!r} is not NAME=VALUE, for example --param seed=7")
            params[name] = value
        for key, value in (("params", params), ("inputs", given.input), ("outputs", given.output)):
            if value:
                settings[key] = value
        return here.add_stage(given.add, settings)

    def _set(self, here: Connection, given: Namespace) -> Any:
        form = 'KEY=VALUE, for example --set timeout="30m" or --set params.seed=7'
        settings = [assignment(text, form) for text in given.set]
        return here.set_stage(given.name or self._own_stage(here), settings)

    def _remove(self, here: Connection, given: Namespace) -> Any:
        return here.remove_stage(given.name or self._own_stage(here))

    def _run(self, here: Connection, given: Namespace) -> Run:
        project = here.project()
        name = given.name or self._own_stage(here, project)
        if not given.name or name in self._stages_of_this(project):
            self._warn_of_the_file(Path(project.path, self._notebook(project)))
        run = here.start_run(only=[name], force=given.force)
        here.transport.patience = WAIT_PATIENCE_SECONDS  # what was started is not to be lost sight of
        return _watched(run)

    def _notebook(self, project: Project) -> str:
        return own_notebook(Path(project.path), self.shell.user_ns)

    def _stages_of_this(self, project: Project) -> list[str]:
        """The stages whose notebook this is; none where nobody can tell which it is."""
        try:
            notebook = self._notebook(project)
        except HimaliaError:
            return []
        return [stage.name for stage in project.stages if stage.notebook == notebook]

    def _own_stage(self, here: Connection, project: Project | None = None) -> str:
        """The stage that this notebook is. Raises HimaliaError when it is none, or several."""
        project = project or here.project()
        notebook = self._notebook(project)
        names = [stage.name for stage in project.stages if stage.notebook == notebook]
        if len(names) == 1:
            return names[0]
        if names:
            raise HimaliaError(
                None, f"{notebook} is the notebook of {len(names)} stages", ", ".join(names), f"Name one: {NAME_IT}"
            )
        if not project.stages:
            here.pipeline()  # it says when himalia.toml cannot be read: then nobody knows the stages
        raise HimaliaError(None, f"{notebook} is no stage yet", "", "Make it one: %stage --add NAME")

    def _warn_of_the_file(self, notebook: Path) -> None:
        unsaved = self.executed.unsaved(notebook)
        if unsaved:
            _warn(
                f"{notebook.name} has edits that are not saved ({', '.join(unsaved)}); the stage runs the file as it "
                "was saved last. Save it and run %stage again to have them in."
            )
        cells = own_magics(notebook)
        if cells:
            place = f"Cell {cells[0]} of the saved {notebook.name}"
            _warn(f"{place} holds a magic that starts runs; in a stage it is an error. Use it in a console instead.")


def _start(here: Connection, given: Namespace) -> Run:
    params: dict[str, dict[str, object]] = {}
    for text in given.param:
        keys, value = assignment(text, "STAGE.NAME=VALUE, for example -p train.seed=7")
        if len(keys) != 2:
            raise HimaliaError(None, f"{text!r} is not STAGE.NAME=VALUE, for example -p train.seed=7")
        params.setdefault(keys[0], {})[keys[1]] = value
    return here.start_run(
        params,
        only=given.only,
        from_=given.from_,
        to=given.to,
        force=given.force,
        keep_going=given.keep_going,
        parallel=given.parallel,
    )


def _warn(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def _watched(run: Run) -> Run:
    """The run when it has ended, however; meanwhile its progress is shown."""
    show = _LiveDisplay(run) if in_front_end() else _Lines()
    try:
        done = run.follow(show)
    except KeyboardInterrupt:
        raise UsageError(
            f"the waiting was interrupted; the run {run.id} goes on. "
            f'To stop it: himalia.connect().cancel_run("{run.id}"), or in Himalia\'s sidebar.'
        ) from None
    except HimaliaError as error:
        raise HimaliaError(error.status, f"The run {run.id} was started and goes on", str(error)) from error
    show.end(done)
    return done


class _LiveDisplay:
    """One display that changes with the run."""

    def __init__(self, run: Run) -> None:
        self.shown = _bundle(run)
        self.handle = display(self.shown, raw=True, display_id=True)

    def __call__(self, run: Run) -> None:
        bundle = _bundle(run)
        if bundle != self.shown:
            self.shown = bundle
            self.handle.update(bundle, raw=True)

    def end(self, run: Run) -> None:
        # the run itself is the cell's result: it is not to be seen twice
        self.handle.update({"text/plain": run._head()}, raw=True)


class _Lines:
    """A line for each change of a stage, where no display changes: in a terminal, under papermill."""

    def __init__(self) -> None:
        self.told: dict[str, str] = {}

    def __call__(self, run: Run) -> None:
        for stage in run._stages():
            if self.told.get(stage["name"]) != stage["status"]:
                self.told[stage["name"]] = stage["status"]
                sys.stdout.write(f"{stage['name']}: {words(stage['status'])}\n")
                sys.stdout.flush()

    def end(self, run: Run) -> None:
        """The run itself tells the rest."""


def _bundle(run: Run) -> dict[str, str]:
    return {"text/plain": repr(run), "text/html": run._repr_html_()}


def _stage_names() -> list[str]:
    try:
        return [stage.name for stage in connect(COMPLETION_SECONDS).project().stages]
    except HimaliaError as error:
        raise TryNext from error  # who completes is told nothing; running the line says what is wrong


def _complete_pipeline(_: object, event: Any) -> list[str]:
    before = event.line[: -len(event.symbol)] if event.symbol else event.line
    said = before.split()[1:]
    if said[-1:] and (said[-1] in ("--only", "--from", "--to") or said == ["diff"]):
        return _stage_names()
    if said[-1:] and said[-1] in ("-p", "--param"):
        return [f"{name}." for name in _stage_names()]
    if not said:
        return ["run", "diff"]
    return list(RUN_OPTIONS) if said[0] == "run" else []


def _complete_stage(_: object, event: Any) -> list[str]:
    before = event.line[: -len(event.symbol)] if event.symbol else event.line
    said = before.split()[1:]
    if not said and not event.symbol.startswith("-"):
        return [*_stage_names(), *STAGE_OPTIONS]
    return [] if said[-1:] and said[-1] in ("--add", "--set", "--param") else list(STAGE_OPTIONS)


def register(shell: Any) -> None:
    """Add the magics and their completion to an IPython shell."""
    executed = Executed()
    shell.register_magics(PipelineMagics(shell, executed))
    shell.events.register("pre_run_cell", executed.note)
    shell.set_hook("complete_command", _complete_pipeline, str_key="%pipeline")
    shell.set_hook("complete_command", _complete_stage, str_key="%stage")

"""The magics %project, %cluster and %deploy; %pipeline and %stage are in `_pipeline_magics`."""

# mypy: disable-error-code="untyped-decorator,misc"

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_magic, magics_class
from IPython.core.magic_arguments import argument, magic_arguments, parse_argstring

from himalia._connection import Connection, connect
from himalia._errors import HimaliaError

ACTIONS = ("start", "scale", "stop", "client")
PATIENCE_SECONDS = 5.0  # someone is waiting in front of the cell


def one_line(call: Callable[[Connection], Any]) -> Any:
    """The result of *call*; what the service refuses becomes one line instead of a traceback."""
    try:
        return call(connect(PATIENCE_SECONDS))
    except HimaliaError as error:
        raise UsageError(" ".join(str(error).split())) from error


@magics_class
class HimaliaMagics(Magics):
    """Himalia from a notebook's cells."""

    @magic_arguments()
    @line_magic
    def project(self, line: str) -> Any:
        """Show the project of this kernel: name, folder, stages, and your role in it."""
        parse_argstring(self.project, line)
        return one_line(lambda here: here.project())

    @magic_arguments()
    @argument(
        "action",
        nargs="?",
        default="",
        metavar="ACTION",
        help="start, scale, stop or client, as above; none: list the project's clusters.",
    )
    @argument(
        "values",
        nargs="*",
        metavar="N|NAME",
        help="The number of workers (for scale) and the cluster's name.",
    )
    @argument("--workers", "-w", type=int, metavar="N", help="start: how many workers.")
    @line_magic
    def cluster(self, line: str) -> Any:
        """List, start, scale or stop the project's Dask clusters, or connect to one.

        %cluster                             the project's clusters
        %cluster start [NAME] [--workers N]  start one, and make it this kernel's own
        %cluster scale N [NAME]              change the number of workers
        %cluster stop [NAME]                 stop it
        %cluster client [NAME]               connect, and put the client into the variable `client`

        Without NAME it is this kernel's cluster, else the project's only one.
        """
        given = parse_argstring(self.cluster, line)
        if given.workers is not None and given.action != "start":
            raise UsageError("--workers belongs to %cluster start; to change a running cluster: %cluster scale N")
        if not given.action:
            return one_line(lambda here: here.clusters())
        if given.action not in ACTIONS:
            known = ", ".join(ACTIONS)
            raise UsageError(f"%cluster has no action {given.action!r}; it has {known}. See %cluster?")
        act: Callable[[list[str], int | None], Any] = getattr(self, f"_{given.action}")
        return act(given.values, given.workers)

    def _start(self, values: list[str], workers: int | None) -> Any:
        name = _at_most_one(values, "start [NAME] [--workers N]")
        if workers is not None and workers < 1:
            raise UsageError(f"--workers must be at least 1, not {workers}")
        wanted = name or os.environ.get("HIMALIA_CLUSTER")
        started = one_line(lambda here: here.start_cluster(wanted or here.slug, workers))
        os.environ["HIMALIA_CLUSTER"] = started.name
        return started

    def _scale(self, values: list[str], _: int | None) -> Any:
        if not values or not values[0].isdecimal():
            raise UsageError("write %cluster scale N [NAME], with N the number of workers")
        name = _at_most_one(values[1:], "scale N [NAME]")
        workers = int(values[0])
        return one_line(lambda here: here.scale_cluster(name or here.default_cluster().name, workers))

    def _stop(self, values: list[str], _: int | None) -> Any:
        name = _at_most_one(values, "stop [NAME]")

        def stop(here: Connection) -> Any:
            here.stop_cluster(name or here.default_cluster().name)
            return here.clusters()

        return one_line(stop)

    def _client(self, values: list[str], _: int | None) -> Any:
        name = _at_most_one(values, "client [NAME]")
        client = one_line(lambda here: here.client(name))
        self.shell.user_ns["client"] = client
        return client

    @magic_arguments()
    @argument("model", metavar="MODEL", help="models:/NAME@ALIAS or models:/NAME/VERSION")
    @argument("--name", "-n", metavar="ENDPOINT", help="The endpoint's name; default: like the model.")
    @line_magic
    def deploy(self, line: str) -> Any:
        """Serve a registered model at an endpoint.

        Code in a kernel may only ask for it; a person who may deploy confirms, and is told how.

        %deploy models:/flights@champion
        %deploy models:/flights/3 --name flights-eu
        """
        given = parse_argstring(self.deploy, line)
        return one_line(lambda here: here.deploy(given.model, given.name))


def _at_most_one(values: list[str], form: str) -> str | None:
    if len(values) > 1:
        raise UsageError(f"too many words; write %cluster {form}")
    return values[0] if values else None


def _complete_cluster(_: object, event: Any) -> list[str]:
    words = event.line.split()
    if len(words) - (not event.line.endswith(" ")) <= 1:
        return list(ACTIONS)
    return ["--workers"] if words[1] == "start" else []


def _complete_deploy(_: object, event: Any) -> list[str]:
    return ["models:/", "--name"]


def register(shell: Any) -> None:
    """Add all magics and their completion to an IPython shell."""
    from himalia import _pipeline_magics

    shell.register_magics(HimaliaMagics)
    shell.set_hook("complete_command", _complete_cluster, str_key="%cluster")
    shell.set_hook("complete_command", _complete_deploy, str_key="%deploy")
    _pipeline_magics.register(shell)

"""The command `himalia`."""

from __future__ import annotations

from difflib import get_close_matches
from importlib import import_module
from typing import Any

import click

from himalia import __version__

from ..service.lifecycle import ServiceError
from ..service.site import SiteError
from .output import Failure

_COMMANDS = {
    "up": ("service", "up"),
    "down": ("service", "down"),
    "status": ("service", "status"),
    "logs": ("service", "logs"),
    "doctor": ("doctor", "doctor"),
    "service": ("unit", "service"),
    "demo": ("demo", "demo"),
    "project": ("project", "project"),
    "template": ("template", "template"),
    "schema": ("project_check", "schema"),
    "secret": ("secret", "secret"),
    "component": ("component", "component"),
    "environment": ("environment", "environment"),
    "cluster": ("cluster", "cluster"),
    "pipeline": ("pipeline", "pipeline"),
    "run": ("run", "run"),
    "verify": ("verify", "verify"),
    "schedule": ("schedule", "schedule"),
    "notification": ("notification", "notification"),
    "model": ("model", "model"),
    "deployment": ("deployment", "deployment"),
    "gc": ("storage", "gc"),
    "audit": ("audit", "audit"),
    "backup": ("backup", "backup"),
    "restore": ("backup", "restore"),
}


class _Lazy(click.Group):
    """Imports a command's module when it is called, so that each starts quickly."""

    def list_commands(self, _context: click.Context) -> list[str]:
        return list(_COMMANDS)

    def invoke(self, context: click.Context) -> Any:
        """What is wrong with the site or the service is told in a sentence, whichever command meets it."""
        try:
            return super().invoke(context)
        except (ServiceError, SiteError) as error:
            raise Failure(str(error)) from error

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """click names a command that is like a wrong one only of those that are imported."""
        name = args[0]
        near = get_close_matches(name, _COMMANDS, n=1) if name not in _COMMANDS else []
        if near and not name.startswith("-") and not context.resilient_parsing:
            context.fail(f"No such command {name!r}. Did you mean {near[0]!r}?")
        return super().resolve_command(context, args)

    def get_command(self, _context: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        module, attribute = _COMMANDS[name]
        command: click.Command = getattr(import_module(f"himalia_server.cli.{module}"), attribute)
        return command


@click.command(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="himalia")
def main() -> None:
    """Himalia: projects, clusters, pipelines, models and endpoints of a data-science team.

    The site's folder is $HIMALIA_HOME (default: your data folder).
    """

"""Every command can be used from a script: with --json there is one JSON document on standard output."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from typing import Any

import click
import pytest
from click.testing import CliRunner

from himalia_server.cli import main

TEXTS = {"logs", "schema", "environment log", "run log", "run notebook", "project open"}
"""What these print is a text, a file or an address already."""
REMOVALS = {
    "secret delete KEY -p pp": {"project": "pp", "name": "KEY", "removed": True},
    "component leave team/features -p pp": {"project": "pp", "name": "team/features", "removed": True},
    "template remove ours": {"name": "ours", "removed": True},
    "project members remove bob -p pp": {"project": "pp", "user": "bob", "removed": True},
    "project members -p pp --json remove bob": {"project": "pp", "user": "bob", "removed": True},
    "cluster stop big -p pp": {"project": "pp", "name": "big", "stopped": True},
    "deployment delete tiny -p pp": {"project": "pp", "name": "tiny", "removed": True},
    "deployment revoke tiny 7 -p pp": {"project": "pp", "name": "tiny", "id": "7", "removed": True},
}


class Service:
    """Does what is asked, and says nothing."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def request(self, method: str, path: str, **_: Any) -> None:
        self.asked.append(method)


def commands(group: click.Group, words: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from commands(command, (*words, name))
        elif command is not None:
            yield " ".join((*words, name)), command


def test_there_is_json_wherever_something_is_told() -> None:
    without = {
        words for words, command in commands(main) if not any("--json" in option.opts for option in command.params)
    }
    assert without == TEXTS


@pytest.mark.parametrize("words", REMOVALS)
def test_a_removal_is_told(words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    service = Service()
    for room in ("secret", "component", "template", "project_members", "cluster", "deployment"):
        monkeypatch.setattr(importlib.import_module(f"himalia_server.cli.{room}"), "connect", lambda: service)
    told = CliRunner().invoke(main, [*words.split(), *(() if "--json" in words else ("--json",))])
    assert (told.exit_code, json.loads(told.output), service.asked) == (0, REMOVALS[words], ["DELETE"])
    plain = CliRunner().invoke(main, words.replace(" --json", "").split())
    assert plain.output.rstrip().endswith((".",))

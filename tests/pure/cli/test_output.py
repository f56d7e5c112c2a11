"""What the command line prints."""

from __future__ import annotations

import time

import pytest
from click.testing import CliRunner

from himalia_server.cli import main
from himalia_server.cli.output import Failure, ago, size, table
from himalia_server.cli.run import parse_parameters


def test_a_table_aligns_its_columns() -> None:
    assert table([("a", 1), ("long", None)], ("NAME", "N")) == "NAME  N\na     1\nlong"


def test_ago_and_size() -> None:
    assert ago(time.time() - 12) == "12 s ago"
    assert ago(time.time() - 7200) == "2 h ago"
    assert ago(None) == ""
    assert size(3 << 30) == "3.0 GiB"
    assert size(5 << 20) == "5 MiB"
    assert size(12) == "12 B"
    assert size(12 << 10) == "12 KiB"


def testparse_parameters_are_json_or_text() -> None:
    given = ("train.seed=11", "train.name=tree", "prepare.months=[1,2]", "train.flag=true")
    assert parse_parameters(given) == {
        "train": {"seed": 11, "name": "tree", "flag": True},
        "prepare": {"months": [1, 2]},
    }


@pytest.mark.parametrize("text", ["seed=1", "train.seed", ".a=1", "train.=1"])
def test_a_faulty_parameter_is_told(text: str) -> None:
    with pytest.raises(Failure, match="STAGE"):
        parse_parameters((text,))


def test_help_names_each_command() -> None:
    result = CliRunner().invoke(main, ["--help"])
    assert result.exit_code == 0
    for name in ("up", "down", "status", "logs", "doctor", "demo", "project", "cluster", "run", "model", "deployment"):
        assert name in result.output


@pytest.mark.parametrize("command", [["nonsense"], ["run", "nonsense"], ["cluster", "list"], ["project", "create"]])
def test_wrong_words_are_usage_errors(command: list[str]) -> None:
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 2
    assert "Usage" in result.output

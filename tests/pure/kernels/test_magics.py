"""The magics in an IPython shell."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell

from himalia._resources import Cluster, Project
from tests.pure.kernels.fake_service import FakeService


@pytest.fixture
def shell(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path_factory.mktemp("ipython")))
    made = InteractiveShell()
    made.extension_manager.load_extension("himalia")
    yield made
    made.history_manager.end_session()
    os.environ.pop("HIMALIA_CLUSTER", None)


def run(shell: Any, line: str) -> Any:
    return shell.run_cell(line, store_history=False)


def test_magics_return_objects(shell: Any, granted: FakeService) -> None:
    assert isinstance(run(shell, "%project").result, Project)
    started = run(shell, "%cluster start shared --workers 2").result
    assert isinstance(started, Cluster)
    assert os.environ["HIMALIA_CLUSTER"] == "shared"
    assert run(shell, "%cluster scale 3").result.workers == 3
    assert [cluster.name for cluster in run(shell, "%cluster").result] == ["shared"]
    assert run(shell, "%cluster stop").result == []
    assert run(shell, "%deploy models:/flights@champion --name eu").result.name == "eu"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("%cluster begin", "no action 'begin'"),
        ("%cluster start a b", "too many words"),
        ("%cluster start --workers many", "invalid int value"),
        ("%cluster start --workers 0", "at least 1"),
        ("%cluster scale", "scale N"),
        ("%cluster scale two", "scale N"),
        ("%cluster stop --workers 2", "belongs to %cluster start"),
        ("%cluster stop nothing", "No such cluster"),
        ("%cluster client", "has no cluster"),
        ("%project now", "unrecognized arguments"),
        ("%deploy", "required: MODEL"),
        ("%deploy flights", "models:/name@alias"),
    ],
)
def test_wrong_input_is_one_line(
    shell: Any, granted: FakeService, capsys: pytest.CaptureFixture[str], line: str, said: str
) -> None:
    capsys.readouterr()
    result = run(shell, line)
    assert type(result.error_in_exec).__name__ == "UsageError"
    lines = capsys.readouterr().err.strip().splitlines()
    assert said in lines[-1]
    assert "Traceback" not in "".join(lines)
    assert len(lines) == 1


@pytest.mark.parametrize("magic", ["project", "cluster", "deploy"])
def test_documentation(shell: Any, magic: str) -> None:
    text = shell.find_line_magic(magic).__doc__
    assert "::" in text
    assert f"%{magic}" in text


def test_completion(shell: Any) -> None:
    assert {"start", "scale", "stop", "client"} <= set(shell.complete("", "%cluster ")[1])
    assert "--name" in shell.complete("--n", "%deploy models:/a@b --n")[1]


def test_live_display_only_where_somebody_looks(
    shell: Any, granted: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = run(shell, "%cluster start shared").result
    assert cluster._repr_mimebundle_() == {}
    monkeypatch.setattr("himalia._resources.in_front_end", lambda: True)
    bundle = cluster._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert bundle["text/plain"] == repr(cluster)

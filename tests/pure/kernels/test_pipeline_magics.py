"""The magics %pipeline and %stage in an IPython shell."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

import himalia
from himalia import _widgets
from himalia._connection import Connection
from himalia._errors import HimaliaError, ServiceUnreachable
from himalia._notebook import Executed, own_notebook
from himalia._runs import Run
from himalia._words import assignment, split
from himalia_server.projects.manifest.models import ManifestPatch
from tests.pure.kernels.fake_service import RUNS, FakeService
from tests.pure.kernels.test_magics import run, shell
from tests.waiting import wait_until

__all__ = ["shell"]


def write_notebook(path: Path, *sources: str) -> Path:
    cells = [{"cell_type": "code", "id": f"c{number}", "source": text} for number, text in enumerate(sources, 1)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    return path


@pytest.fixture
def notebook(granted: FakeService, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The notebook of the stage `prepare`, whose kernel this process is."""
    path = write_notebook(granted.project / "01-prepare.ipynb", "a = 1", "b = 2")
    os.utime(path, (1, 1))  # saved long ago
    monkeypatch.setenv("JPY_SESSION_NAME", str(path))
    for name in ("HIMALIA_RUN", "HIMALIA_STAGE"):
        monkeypatch.delenv(name, raising=False)
    return path


def test_pipeline(shell: Any, granted: FakeService) -> None:
    assert [stage.name for stage in run(shell, "%pipeline").result] == ["prepare"]
    assert (
        run(shell, '%pipeline run --to train --force -p train.names=["a b", "c"] -p train.eta=1e-3').result.id == "r2"
    )
    assert granted.calls("POST", "/runs") == [
        {"params": {"train": {"names": ["a b", "c"], "eta": 0.001}}, "options": {"to": ["train"], "force": True}}
    ]
    diff = run(shell, "%pipeline diff train").result
    assert "cell 3:\n  @@ -1 +1 @@\n  -a < 1\n  +a < 2\n\na cell that is gone:\n  -gone" in repr(diff)
    assert repr(diff).endswith("\n\nin/<a>.txt:\n  -one\n  +two")
    assert "-a &lt; 1" in diff._repr_html_()
    assert "<p>in/&lt;a&gt;.txt</p>" in diff._repr_html_()


def test_stage_runs_the_notebook_as_it_is(
    shell: Any, granted: FakeService, notebook: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = run(shell, "%stage").result
    assert (done.id, done.state) == ("r2", "succeeded")
    assert granted.calls("POST", "/runs") == [{"params": {}, "options": {"only": ["prepare"]}}]
    captured = capsys.readouterr()
    assert "prepare: succeeded\n" in captured.out
    assert captured.err == ""
    run(shell, "%stage prepare --force")
    assert granted.calls("POST", "/runs")[1]["options"] == {"only": ["prepare"], "force": True}


def test_stage_tells_of_edits_that_are_not_saved(
    shell: Any, granted: FakeService, notebook: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for cell, text in (("c1", "a = 1"), ("c2", "b = 3"), ("c9", "new = 1"), ("c10", "%pipeline\n")):
        shell.run_cell(text, store_history=False, cell_id=cell)
    capsys.readouterr()
    shell.run_cell("%stage", store_history=False, cell_id="c11")
    told = capsys.readouterr().err
    assert "edits that are not saved (a new cell, cell 2)" in told
    write_notebook(notebook, "a = 1", "b = 4", "other = 1", "# to be sure\n%stage train")  # edited, then saved
    os.utime(notebook, None)
    shell.run_cell("%stage", store_history=False, cell_id="c11")
    told = capsys.readouterr().err
    assert "not saved" not in told
    assert "Cell 4 of the saved 01-prepare.ipynb holds a magic that starts runs" in told


def test_a_failed_run_is_returned_as_it_is(
    shell: Any, granted: FakeService, notebook: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(RUNS, "r2", RUNS["bad"])
    done = run(shell, "%stage")
    assert done.success
    assert isinstance(done.result, Run)
    assert done.result.state == "failed"
    assert "ValueError: no <b>flights</b>" in repr(done.result)
    assert "Give it some." in repr(done.result)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (KeyboardInterrupt(), "the waiting was interrupted; the run r2 goes on"),
        (ServiceUnreachable(None, "The Himalia service cannot be reached"), "The run r2 was started and goes on"),
    ],
)
def test_the_end_of_waiting_is_not_that_of_the_run(
    shell: Any,
    granted: FakeService,
    notebook: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    fault: BaseException,
    said: str,
) -> None:
    def broken(connection: Connection, run_id: str) -> Run:
        raise fault

    monkeypatch.setattr(Connection, "run", broken)
    assert type(run(shell, "%stage").error_in_exec).__name__ == "UsageError"
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert said in lines[0]
    assert granted.calls("POST", "/cancel") == []


def test_a_live_display_changes_with_the_run(
    shell: Any, granted: FakeService, notebook: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[Any] = []

    class Handle:
        def update(self, bundle: Any, raw: bool) -> None:
            shown.append(bundle)

    monkeypatch.setattr("himalia._pipeline_magics.in_front_end", lambda: True)
    monkeypatch.setattr("himalia._pipeline_magics.display", lambda bundle, **_: shown.append(bundle) or Handle())
    granted.undecided = 2
    assert run(shell, "%stage").result.state == "succeeded"
    texts = [bundle["text/plain"].splitlines()[0] for bundle in shown]
    assert texts == ["Run r2: pending", "Run r2: running", "Run r2: succeeded", "Run r2: succeeded"]
    assert "text/html" not in shown[-1]


def test_a_notebook_becomes_a_stage_changes_and_is_none_again(
    shell: Any, granted: FakeService, notebook: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JPY_SESSION_NAME", str(write_notebook(granted.project / "deep" / "t.ipynb", "x = 1")))
    made = run(shell, "%stage --add train --input 'a b.csv' --input c.csv --output build/m --param seed=7 -p to=eu")
    assert (made.result.name, made.result.notebook) == ("train", "deep/t.ipynb")
    run(shell, '%stage --set timeout="30m" --set retries=2 --set params.seed=[1, 2] --set cache=never')
    assert list(granted.stages) == ["prepare", "train"]
    assert [stage.name for stage in run(shell, "%stage --remove").result] == ["prepare"]
    run(shell, "%stage --add other --notebook 01-prepare.ipynb")
    sent = [
        (edit.op, ".".join(edit.path), edit.value)
        for body in granted.calls("PATCH", "/manifest")
        for edit in ManifestPatch.model_validate(body).edits
    ]
    table = {
        "notebook": "deep/t.ipynb",
        "params": {"seed": 7, "to": "eu"},
        "inputs": ["a b.csv", "c.csv"],
        "outputs": ["build/m"],
    }
    assert sent == [
        ("add_stage", "stages.train", table),
        ("set", "stages.train.timeout", "30m"),
        ("set", "stages.train.retries", 2),
        ("set", "stages.train.params.seed", [1, 2]),
        ("set", "stages.train.cache", "never"),
        ("remove", "stages.train", None),
        ("add_stage", "stages.other", {"notebook": "01-prepare.ipynb"}),
    ]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("%pipeline start", "no action 'start'"),
        ("%pipeline diff", "write %pipeline diff STAGE"),
        ("%pipeline run train", "write %pipeline run --only train"),
        ("%pipeline --force", "belong to %pipeline run"),
        ("%pipeline run --parallel many", "invalid int value"),
        ("%pipeline run -p seed=7", "is not STAGE.NAME=VALUE"),
        ("%pipeline run -p train.seed", "is not STAGE.NAME=VALUE"),
        ("%pipeline run -p train.day=2026-01-01", "cannot be read"),
        ("%pipeline run -p 'train.seed=7", "the quote ' is not closed"),
        ("%pipeline diff nothing", "No such thing"),
        ("%stage --set retries", "is not KEY=VALUE"),
        ("%stage --set retries=[1", "a bracket is not closed"),
        ("%stage --set retries=1\\n2", "cannot be read"),
        ("%stage nothing --set retries=2", "has no stage 'nothing'"),
        ("%stage --add a --remove", "do not go together"),
        ("%stage a --add b", "with one name"),
        ("%stage --input a.csv", "belong to %stage --add"),
        ("%stage --add a --notebook ../x.ipynb", "does not lie in the project"),
        ("%stage --remove --force", "--force is for a run"),
    ],
)
def test_wrong_input_is_one_line(
    shell: Any, granted: FakeService, notebook: Path, capsys: pytest.CaptureFixture[str], line: str, said: str
) -> None:
    capsys.readouterr()
    assert type(run(shell, line).error_in_exec).__name__ == "UsageError"
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert said in lines[0]
    assert granted.calls("POST", "/runs") == granted.calls("PATCH", "/manifest") == []


@pytest.mark.parametrize("line", ["%stage", "%stage prepare"])
def test_the_stage_itself_is_not_started_again(
    shell: Any,
    granted: FakeService,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    line: str,
) -> None:
    monkeypatch.setenv("HIMALIA_RUN", "r7")
    monkeypatch.setenv("HIMALIA_STAGE", "prepare")
    assert run(shell, line).result is None
    assert "the stage prepare of the run r7: nothing more is started" in capsys.readouterr().out
    assert granted.requests == []


@pytest.mark.parametrize("line", ["%stage train", "%stage --add x", "%stage --remove", "%pipeline run"])
def test_nothing_starts_in_a_running_stage(
    shell: Any,
    granted: FakeService,
    notebook: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    line: str,
) -> None:
    monkeypatch.setenv("HIMALIA_RUN", "r7")
    monkeypatch.setenv("HIMALIA_STAGE", "prepare")
    assert type(run(shell, line).error_in_exec).__name__ == "UsageError"
    assert "runs just now as prepare of the run r7" in capsys.readouterr().err
    assert granted.requests == []
    assert len(run(shell, "%pipeline").result) == 1


def test_which_stage_is_said_when_nothing_tells(
    shell: Any,
    granted: FakeService,
    notebook: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    granted.stages["again"] = "01-prepare.ipynb"
    run(shell, "%stage")
    assert "the notebook of 2 stages: prepare, again" in capsys.readouterr().err
    monkeypatch.setenv("JPY_SESSION_NAME", str(write_notebook(granted.project / "new.ipynb")))
    run(shell, "%stage")
    assert "new.ipynb is no stage yet. Make it one: %stage --add NAME" in capsys.readouterr().err
    monkeypatch.delenv("JPY_SESSION_NAME")
    run(shell, "%stage")
    assert "Name the stage: %stage NAME" in capsys.readouterr().err
    assert run(shell, "%stage again").result.state == "succeeded"
    shell.user_ns["__session__"] = str(granted.project / "new.ipynb")
    run(shell, "%stage --remove")
    assert "new.ipynb is no stage yet" in capsys.readouterr().err


def test_the_kernels_notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = tmp_path / "work" / "flights"
    path = write_notebook(project / "deep" / "a.ipynb")
    write_notebook(tmp_path / "b.ipynb")
    (tmp_path / "link").symlink_to(project)

    def found(name: str) -> str:
        monkeypatch.setenv("JPY_SESSION_NAME", name)
        return own_notebook(project, {"__session__": "x.ipynb"})

    relative = ["deep/a.ipynb", "flights/deep/a.ipynb", "work/flights/deep/a.ipynb"]
    for name in (str(path), str(tmp_path / "link" / "deep" / "a.ipynb"), *relative):
        assert found(name) == "deep/a.ipynb"
    for name, said in (
        (str(tmp_path / "b.ipynb"), "does not lie in the project"),
        ("deep/gone.ipynb", "renamed or moved"),
        ("../../b.ipynb", "does not lie in the project"),
        ("console-1", "belongs to no notebook"),
    ):
        with pytest.raises(HimaliaError, match=said):
            found(name)


def test_a_file_that_is_no_notebook_is_said(tmp_path: Path) -> None:
    broken = tmp_path / "a.ipynb"
    for text in ("{", "[]", '{"cells": 1}', '{"cells": [{}]}', '{"cells": [{"cell_type": "code", "source": 1}]}'):
        broken.write_text(text)
        with pytest.raises(HimaliaError, match="cannot be read as a notebook"):
            Executed().unsaved(broken)


def test_words_and_values() -> None:
    assert split(""" --set 'a = [1, "x"]'  -p b="it's  one" c={d = [1, 2]} "" """) == [
        *("--set", 'a = [1, "x"]', "-p", """b="it's  one\"""", "c={d = [1, 2]}", ""),
    ]
    for text, value in (("7", 7), ("true", True), ("False", False), ("30m", "30m"), ('["a"]', ["a"]), ("''", "")):
        assert assignment(f"k.l={text}", "")[1] == value
    for text in ("", "nan", "a b", "1979-05-27", "[1]\nb = 2"):
        with pytest.raises(HimaliaError, match="cannot be read"):
            assignment(f"k={text}", "")


def test_a_run_that_goes_on_shows_live_where_somebody_looks(
    shell: Any, granted: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    granted.undecided = 1
    started = run(shell, "%pipeline run").result
    assert started._repr_mimebundle_() == {}
    monkeypatch.setattr("himalia._runs.in_front_end", lambda: True)
    assert "application/vnd.jupyter.widget-view+json" in started._repr_mimebundle_()
    panel = _widgets._RunPanel(started)
    wait_until(lambda: "succeeded" in panel.view.value and panel.button.disabled, 10, "the end in the display")
    assert granted.calls("GET", "/runs/r2")[0] is None
    assert himalia.connect().run("good")._repr_mimebundle_() == {}


@pytest.mark.parametrize("magic", ["pipeline", "stage"])
def test_documentation(shell: Any, magic: str) -> None:
    text = shell.find_line_magic(magic).__doc__
    assert "::" in text
    assert f"%{magic} " in text


def test_completion(shell: Any, granted: FakeService, monkeypatch: pytest.MonkeyPatch) -> None:
    def complete(line: str) -> list[str]:
        return list(shell.complete(line.rpartition(" ")[2], line)[1])

    assert complete("%pipeline ") == ["run", "diff"]
    assert "prepare" in complete("%pipeline diff ")
    assert "prepare" in complete("%pipeline run --only pre")
    assert "prepare." in complete("%pipeline run -p pre")
    assert "--keep-going" in complete("%pipeline run --k")
    assert {"prepare", "--add"} <= set(complete("%stage "))
    assert "--remove" in complete("%stage --re")
    monkeypatch.delenv("HIMALIA_PROJECT")
    assert "prepare" not in complete("%stage pre")

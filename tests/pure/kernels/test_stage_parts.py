"""The parts of a stage's runner that need no kernel."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from himalia._observed import Recorder, source_of
from himalia_kernels import _inotify, observing, stage
from himalia_kernels.caps import LogCap, OutputCap, fitting, room, shorten
from himalia_kernels.endings import CellFailed
from himalia_kernels.kernelspec import write_kernelspec
from himalia_kernels.progress import ProgressReporter
from himalia_kernels.spec import Outcome, SpecError, StageSpec
from himalia_kernels.watchdog import Watchdog
from tests.pure.kernels.fake_service import SLUG, FakeService
from tests.pure.kernels.test_parts import LAYER, spec
from tests.waiting import wait_until


def test_times_of_a_specification() -> None:
    assert (spec().cell_timeout_s, spec().start_timeout_s, spec().grace_s) == (None, 60.0, 10.0)
    given = spec(cell_timeout_s=5, start_timeout_s=7, grace_s=0, progress_detail=True)
    assert (given.cell_timeout_s, given.start_timeout_s, given.grace_s, given.progress_detail) == (5.0, 7.0, 0.0, True)
    for change in ({"cell_timeout_s": 0}, {"start_timeout_s": -1}, {"grace_s": -1}, {"cell_timeout_s": True}):
        with pytest.raises(SpecError, match=next(iter(change))):
            spec(**change)


def stream(text: str) -> dict[str, Any]:
    return {"name": "stdout", "text": text}


def test_a_cells_text_is_cut_once_and_said() -> None:
    cap = OutputCap(cell_text=100, notebook=1000)
    cap.start_cell(1)
    first, second = stream("x" * 60), stream("y" * 60)
    assert cap.admit("stream", first)
    assert first["text"] == "x" * 60
    assert cap.admit("stream", second)
    assert second["text"].startswith("y" * 40 + "\n… output cut after 100 bytes: this cell wrote more.")
    assert not cap.admit("stream", stream("z"))
    assert (cap.cut_cells, cap.cut_bytes) == ([1], 21)
    cap.admit("clear_output", {})
    assert cap.admit("stream", stream("again"))
    cap.start_cell(2)
    third = stream("next")
    assert cap.admit("stream", third)
    assert third["text"] == "next"


def test_data_is_left_out_by_cell_and_by_notebook() -> None:
    cap = OutputCap(cell_text=500, cell_data=1000, notebook=1650)
    cap.start_cell(1)
    small, large = {"data": {"text/html": "x" * 600}}, {"data": {"text/html": "x" * 600, "text/plain": "y"}}
    cap.admit("display_data", small)
    cap.admit("display_data", large)
    assert small["data"]["text/html"] == "x" * 600
    assert "an output of 901 bytes (" in large["data"]["text/plain"]
    assert "(text/html, text/plain) is left out: this cell wrote more" in large["data"]["text/plain"]
    cap.start_cell(2)
    cap.admit("clear_output", {})
    names = {"transient": {"display_id": "d"}}
    cap.admit("display_data", {"data": {"text/plain": ""}} | names)
    for _ in range(20):  # each takes the place of the one before
        update = {"data": {"text/plain": "u" * 100}} | names
        cap.admit("update_display_data", update)
        assert update["data"]["text/plain"] == "u" * 100
    cap.admit("clear_output", {})
    last = stream("z" * 500)
    cap.admit("stream", last)
    assert "the notebook keeps 1650 bytes of output" in last["text"]
    assert (cap.cut_cells, last["text"].count("z")) == ([1, 2], 450)


def test_errors_are_kept_but_not_at_any_length() -> None:
    cap = OutputCap(cell_text=1, cell_data=1, notebook=1)
    cap.start_cell(1)
    error = {"ename": "E", "evalue": "v" * 10**6, "traceback": ["t" * 10**6] * 100}
    assert cap.admit("error", error)
    assert len(error["evalue"]) < 21_000
    assert 1 < len(error["traceback"]) < 12
    assert "characters left out" in error["evalue"]


def test_room_counts_what_the_file_takes() -> None:
    assert room("ab") == 2
    assert room("\n") > 10  # a line of its own
    assert room("\0") == 6
    for text in ("\n" * 1000, "a\n" * 1000, "é\0" * 1000, "x" * 1000):
        kept = fitting(text, 500)
        assert room(kept) <= 500
        assert len(kept) > 30
    assert shorten("abc") == "abc"


def test_the_log_is_cut_once() -> None:
    cap = LogCap(10)
    assert cap.admit("12345678") == "12345678"
    assert cap.admit("abcdef").startswith("ab\n… log cut after 10 bytes; the kept notebook")
    assert cap.admit("more") == ""
    assert cap.cut == 8


class Sleeper:
    """A process that leads a group and dies of SIGINT, or does not."""

    def __init__(self, stubborn: bool = False) -> None:
        ignore = "signal.signal(signal.SIGINT, signal.SIG_IGN);" if stubborn else ""
        code = f"import signal, time; {ignore} print(flush=True); time.sleep(600)"
        self.popen = subprocess.Popen([sys.executable, "-c", code], start_new_session=True, stdout=subprocess.PIPE)
        assert self.popen.stdout is not None
        self.popen.stdout.readline()

    def end(self) -> int:
        code = self.popen.wait(30)
        assert self.popen.stdout is not None
        self.popen.stdout.close()
        return code


def test_the_watchdog_counts_for_each_cell() -> None:
    watchdog = Watchdog(timeout_s=600, cell_timeout_s=0.2)
    sleeper = Sleeper()
    watchdog.start()
    watchdog.attach(sleeper.popen)
    time.sleep(0.4)  # between cells no time runs
    assert watchdog.reason is None
    watchdog.cell_started()
    watchdog.cell_ended()
    time.sleep(0.4)
    assert watchdog.reason is None
    watchdog.cell_started()
    assert sleeper.end() in {-signal.SIGINT, 1}
    assert (watchdog.reason, watchdog.limit) == ("timed_out", "cell")
    watchdog.stop("cancelled")
    assert watchdog.reason == "timed_out"  # the first one stands
    watchdog.finish()


def test_the_watchdog_kills_after_its_grace() -> None:
    watchdog = Watchdog(grace_s=0.2)
    sleeper = Sleeper(stubborn=True)
    watchdog.start()
    watchdog.attach(sleeper.popen)
    watchdog.stop("cancelled")
    assert sleeper.end() == -signal.SIGKILL
    assert watchdog.limit is None
    watchdog.finish()


def test_progress_in_detail_loses_no_end(granted: FakeService) -> None:
    url = f"{granted.address}/api/v1/projects/{SLUG}/runs/r/stages/s/progress"
    granted.unavailable = 1
    reporter = ProgressReporter(url, Path(os.environ["HIMALIA_TOKEN_FILE"]), detail=True)
    for cell in (1, 2, 3):
        reporter.report(cell, 3, None)
        reporter.ended(cell, 0.5, "succeeded" if cell < 3 else "failed")
    reporter.report(3, 3, "Last")
    wait_until(lambda: granted.calls("POST", "/progress"), 10, "the progress")
    reporter.close()
    # the first post may have been refused, with whatever it told
    posts = granted.calls("POST", "/progress")
    cells = {end["cell"]: end for post in posts for end in post["ended"]}
    assert sorted(cells) == [1, 2, 3]
    assert cells[3] == {"cell": 3, "seconds": 0.5, "status": "failed"}
    assert (posts[-1]["cells_done"], posts[-1]["running"], posts[-1]["label"]) == (2, True, "Last")


def failed(name: str, value: str) -> Outcome:
    outcome = Outcome("failed", "")
    stage._explain(spec(), outcome, CellFailed(0, 1, "", name, value, ["tb"]), "4 GiB")
    return outcome


def test_endings_in_words() -> None:
    exited = failed("SystemExit", "3")
    assert (exited.exit_status, exited.error) == (3, "The cell ended the notebook by sys.exit(3)")
    assert "with status 3" in str(exited.hint)
    assert failed("SystemExit", "no flights").exit_status == 1
    memory = failed("_ArrayMemoryError", "Unable to allocate")
    assert memory.oom is True
    assert "4 GiB" in str(memory.hint)
    assert failed("ValueError", "x").oom is None
    assert len(str(failed("ValueError", "x" * 10**6).error)) < 5000


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StageSpec:
    """A stage whose kernel is installed."""
    write_kernelspec(tmp_path / "jupyter/kernels", "k", "K", sys.executable, LAYER, SLUG, tmp_path)
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    (tmp_path / "work").mkdir()
    return replace(spec(), workdir=tmp_path / "work")


def write(given: StageSpec, metadata: dict[str, Any], source: str = "a = 1\nb = a") -> None:
    cell = new_code_cell(source, metadata={"tags": ["parameters"]})
    nbformat.write(new_notebook(cells=[cell], metadata=metadata), given.workdir / given.notebook)


@pytest.mark.parametrize(
    ("text", "said"),
    [("{", "cannot be read as a notebook"), ("[]", "is not a notebook"), ('{"nbformat": 4}', "no list of cells")],
)
def test_what_is_no_notebook_is_refused(installed: StageSpec, text: str, said: str) -> None:
    with pytest.raises(stage.StageError, match="No such file"):
        stage._check_before(installed, Outcome("failed", ""))
    (installed.workdir / installed.notebook).write_text(text)
    with pytest.raises(stage.StageError, match=said) as caught:
        stage._check_before(installed, Outcome("failed", ""))
    assert caught.value.name == "NotebookUnreadableError"
    assert caught.value.hint


def test_a_notebook_in_another_language_is_refused(installed: StageSpec) -> None:
    write(installed, {"kernelspec": {"name": "ir", "display_name": "R", "language": "R"}})
    with pytest.raises(stage.StageError, match=r"a\.ipynb is written in R, and the kernel 'k' runs python"):
        stage._check_before(installed, Outcome("failed", ""))
    write(installed, {"language_info": {"name": "julia"}})
    with pytest.raises(stage.StageError, match="written in julia"):
        stage._check_before(installed, Outcome("failed", ""))
    for metadata in ({}, {"kernelspec": {"name": "another", "display_name": "A", "language": "Python"}}):
        write(installed, metadata)
        stage._check_before(installed, Outcome("failed", ""))
    with pytest.raises(stage.StageError, match="no kernel 'gone'"):
        stage._check_before(replace(installed, kernel_name="gone"), Outcome("failed", ""))


def test_values_derived_from_a_default_are_told(installed: StageSpec) -> None:
    write(installed, {})
    outcome = Outcome("failed", "")
    stage._check_before(replace(installed, parameters={"a": 2}), outcome)
    (warning,) = outcome.warnings
    assert "computes 'b' from 'a'" in warning


def test_the_record_of_opened_files(tmp_path: Path) -> None:
    """Fed by hand: an audit hook would stay for the whole session."""
    for name in ("a.csv", "mod.py", "__pycache__/mod.cpython-311.pyc", ".git/x", "line\nbreak", "old.pyc"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    place = tmp_path / "record"
    recorder = Recorder(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_APPEND), str(tmp_path))
    read, write = os.O_RDONLY | os.O_CLOEXEC, os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    for path, flags in (
        (str(tmp_path / "a.csv"), read),
        (os.fsencode(tmp_path / "a.csv"), read),  # the same
        (tmp_path / "a.csv", os.O_RDWR),
        (str(tmp_path / "__pycache__/mod.cpython-311.pyc"), read),
        (str(tmp_path / ".git/x"), read),
        (str(tmp_path / "line\nbreak"), write),
        (str(tmp_path / "old.pyc"), read),
        ("/etc/hosts", read),
        (3, read),
    ):
        recorder._hook("open", (path, "r", flags))
    recorder._hook("import", ("x",))
    recorder._hook("os.rename", (str(tmp_path / "gone"), "x", -1, -1))
    lines = place.read_text().splitlines()
    assert [(line[0], json.loads(line[2:]).removeprefix(f"{tmp_path}/")) for line in lines] == [
        ("r", "a.csv"),
        ("w", "a.csv"),
        ("r", "mod.py"),
        ("w", "line\nbreak"),
        ("r", "old.pyc"),
        ("r", "gone"),
    ]
    recorder._hook("open", (object(), "r", read))
    recorder._hook("open", (object(), "r", read))
    assert place.read_text().splitlines()[len(lines) :] == ["!"]
    assert source_of("/w/old.pyc") == "/w/old.pyc"


def test_marks_of_files(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__/x").write_text("1")
    (tmp_path / "b").symlink_to("nowhere")
    before = observing.scan(tmp_path)
    assert sorted(before) == ["a", "b"]
    times = (tmp_path / "a").stat()
    (tmp_path / "c").write_text("2")
    os.utime(tmp_path / "c", ns=(times.st_atime_ns, times.st_mtime_ns))
    (tmp_path / "c").replace(tmp_path / "a")
    assert observing.scan(tmp_path) != before  # another file of the same size and time
    assert observing.within("a/b", ["a"])
    assert not observing.within("ab", ["a"])


@pytest.mark.skipif(sys.platform != "linux", reason="Linux's own")
def test_reads_of_any_process_are_seen(tmp_path: Path) -> None:
    for name in ("read", "left", "written", "moved"):
        (tmp_path / name).write_text("1")
    watch = _inotify.ReadWatch([tmp_path])
    subprocess.run(["cat", str(tmp_path / "read")], check=True, capture_output=True)
    (tmp_path / "written").write_text("2")
    (tmp_path / "moved").rename(tmp_path / "moved2")
    (tmp_path / "left").stat()
    assert watch.finish() == ({tmp_path / "read", tmp_path / "moved"}, True)
    with pytest.raises(_inotify.Unsupported, match="cannot be watched"):
        _inotify.ReadWatch([tmp_path / "none"])

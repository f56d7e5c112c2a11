"""Pipelines: one stage beside papermill, a thousand that are up to date beside DVC, a wide graph beside a serial one.

    python -m tests.benchmarks.pipelines [--stages 1000] [--dvc PATH] [--rounds 5] [--only stage up_to_date wide]

*--dvc* is the `dvc` of an environment of its own (`pip install dvc`); without it there is no peer for the thousand.
Runs alternate, so that what else the machine does meets both. Each stage writes what it read and its own number.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat

from tests.site.lab import Lab, running_lab, write_project
from tests.waiting import wait_until

HEAVY = "import numpy, pandas, pyarrow, sklearn, scipy.stats, mlflow, distributed, matplotlib.pyplot"
CODE = {"trivial": "1 + 1", "heavy": HEAVY}


def spread(values: list[float]) -> str:
    return f"{statistics.median(values):7.3f} s ({min(values):.3f}–{max(values):.3f})"


def timed(what: Callable[[], object]) -> float:
    began = time.perf_counter()
    what()
    return time.perf_counter() - began


def call(*command: str, cwd: Path) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stdout[-2000:]}{done.stderr[-2000:]}")


def himalia(*arguments: str, cwd: Path) -> None:
    call(str(Path(sys.executable).with_name("himalia")), *arguments, cwd=cwd)


def papermill_cli(folder: Path, name: str) -> None:
    call(str(Path(sys.executable).with_name("papermill")), name, "out.ipynb", "-k", "python3", cwd=folder)


def papermill_function(folder: Path, name: str) -> None:
    import papermill

    papermill.execute_notebook(str(folder / name), str(folder / "out.ipynb"), kernel_name="python3", progress_bar=False)


def started(lab: Lab, slug: str, **body: Any) -> str:
    return str(lab.post(f"/projects/{slug}/runs", body)["id"])


def stage_seconds(view: dict[str, Any]) -> list[float]:
    return [stage["ended_at"] - stage["started_at"] for stage in view["stages"] if stage["started_at"]]


def one_stage(lab: Lab, rounds: int) -> None:
    """A stage as the service runs it: its own time, and from the request to the end of the run.

    From kernel start to notebook saved: what papermill notes as `duration` in the notebooks, ours and its own.
    """
    for kind, code in CODE.items():
        slug = f"one-{kind}"
        folder = lab.project(slug, {"s": {"notebook": "n.ipynb", "cache": "never"}}, {"n.ipynb": ["x = 1", code]})
        times: dict[str, list[float]] = {}
        for turn in range(rounds + 1):
            whole = time.perf_counter()
            view = lab.wait_run(slug, started(lab, slug))
            whole = time.perf_counter() - whole
            if view["status"] != "succeeded":
                raise SystemExit(json.dumps(view, indent=1))
            kept = lab.get(f"/projects/{slug}/runs/{view['id']}/stages/s/notebook")
            found = {
                "kernel start to notebook saved": kept["metadata"]["papermill"]["duration"],
                "stage of a run": stage_seconds(view)[0],
                "whole run, by REST": whole,
                "papermill.execute_notebook": timed(lambda folder=folder: papermill_function(folder, "n.ipynb")),
                "papermill on the command line": timed(lambda folder=folder: papermill_cli(folder, "n.ipynb")),
            }
            theirs = json.loads((folder / "out.ipynb").read_text("utf-8"))
            found["the same by papermill alone"] = theirs["metadata"]["papermill"]["duration"]
            if turn:  # the first one warms what can be warm: zygote, caches, byte code
                for name, value in found.items():
                    times.setdefault(name, []).append(value)
        print(f"\n{kind} notebook, {rounds} rounds")
        ours = statistics.median(times["stage of a run"])
        for name, values in times.items():
            print(f"  {name:32} {spread(values)}   {statistics.median(values) / ours:5.2f} of the stage")
        start = statistics.median(times["kernel start to notebook saved"])
        peer = statistics.median(times["the same by papermill alone"])
        print(f"  from kernel start to notebook saved: {peer / start:.1f}× less than papermill's own")


def tree(folder: Path, count: int) -> dict[str, dict[str, Any]]:
    """Stages in rows of ten: each reads what the one before it in its row has written."""
    stages: dict[str, dict[str, Any]] = {}
    for number in range(count):
        first = number % 10 == 0
        read = "data.txt" if first else f"build/{number - 1}.txt"
        stages[f"s{number}"] = {
            "notebook": f"n{number}.ipynb",
            "params": {"number": number},
            "inputs": [read],
            "outputs": [f"build/{number}.txt"],
        }
        code = f"text = open({read!r}).read()\nopen('build/{number}.txt', 'w').write(f'{{text}} {{number}}')"
        book = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell("number = 0"), nbformat.v4.new_code_cell(code)]
        )
        book.cells[0].metadata["tags"] = ["parameters"]
        nbformat.write(book, folder / f"n{number}.ipynb")
    (folder / "data.txt").write_text("0")
    return stages


def dvc_tree(folder: Path, stages: dict[str, dict[str, Any]], dvc: str) -> None:
    """The same graph for DVC, with a command that costs next to nothing, as if all of it had been run.

    Its first `dvc repro` of a thousand stages takes twenty minutes; `dvc commit` writes the same lock at once.
    """
    lines = ["stages:"]
    for number, (name, stage) in enumerate(stages.items()):
        read, write = stage["inputs"][0], stage["outputs"][0]
        lines += [
            f"  {name}:",
            f"    cmd: sh -c 'cat {read} > {write}; echo {number} >> {write}'",
            f"    deps: [{stage['notebook']}, {read}]",
            f"    outs: [{write}]",
        ]
    (folder / "dvc.yaml").write_text("\n".join(lines) + "\n")
    (folder / "build").mkdir()
    call(dvc, "init", "--no-scm", "-q", cwd=folder)
    call(dvc, "config", "core.analytics", "false", cwd=folder)
    for number, stage in enumerate(stages.values()):
        made = (folder / stage["inputs"][0]).read_text() + f"{number}\n"
        (folder / stage["outputs"][0]).write_text(made)
    call(dvc, "commit", "--force", "-q", cwd=folder)


def up_to_date(lab: Lab, count: int, rounds: int, dvc: str | None) -> None:
    ours, theirs = lab.root / "projects" / "thousand", lab.root / "dvc"
    ours.mkdir(parents=True)
    stages = tree(ours, count)
    write_project(ours, "thousand", stages, {})
    lab.post("/projects", {"name": "thousand", "path": str(ours)})
    first = timed(lambda: print("  first run:", lab.wait_run("thousand", started(lab, "thousand"), 7200)["status"]))
    print(f"\n{count} stages: the first run took {first:.0f} s ({first / count:.2f} s a stage)")
    commands: dict[str, Callable[[], object]] = {
        "himalia pipeline run": lambda: himalia("pipeline", "run", "-p", "thousand", cwd=ours),
        "himalia pipeline status": lambda: himalia("pipeline", "status", "-p", "thousand", cwd=ours),
        "the run itself, by REST": lambda: lab.wait_run("thousand", started(lab, "thousand")),
        "the status itself, by REST": lambda: lab.get("/projects/thousand/pipeline"),
        "himalia --version (its start)": lambda: himalia("--version", cwd=ours),
    }
    if dvc:
        theirs.mkdir()
        tree(theirs, count)
        dvc_tree(theirs, stages, dvc)
        commands["dvc repro"] = lambda: call(dvc, "repro", "-q", cwd=theirs)
        commands["dvc status"] = lambda: call(dvc, "status", "-q", cwd=theirs)
    times: dict[str, list[float]] = {name: [] for name in commands}
    for turn in range(rounds + 1):
        for name, command in commands.items():
            seconds = timed(command)
            if turn:
                times[name].append(seconds)
    base = statistics.median(times["himalia pipeline run"])
    print(f"{count} stages, all up to date, {rounds} rounds")
    for name, values in times.items():
        print(f"  {name:32} {spread(values)}   {statistics.median(values) / base:6.2f} of ours")


def wide(lab: Lab, rounds: int) -> None:
    """Thirty stages of which four can run at a time, that wait and that compute."""
    for kind, code in (
        ("waiting", "import time; time.sleep(1)"),
        ("computing", "sum(i * i for i in range(4_000_000))"),
    ):
        slug = f"wide-{kind}"
        stages: dict[str, dict[str, Any]] = {}
        for number in range(30):
            layer = number // 4
            stages[f"s{number}"] = {
                "notebook": "n.ipynb",
                "cache": "never",
                "params": {"number": number},
                "after": [f"s{other}" for other in range(max(0, (layer - 1) * 4), layer * 4)],
            }
        lab.project(slug, stages, {"n.ipynb": ["number = 0", code]})
        times: dict[int, list[float]] = {4: [], 1: []}
        for _ in range(rounds):
            for parallel, values in times.items():
                run_id = started(lab, slug, options={"parallel": parallel})
                view = lab.wait_run(slug, run_id, 1200)
                if view["status"] != "succeeded":
                    raise SystemExit(json.dumps(view, indent=1))
                values.append(view["ended_at"] - view["started_at"])
        gain = statistics.median(times[1]) / statistics.median(times[4])
        print(f"\n30 stages of width 4, {kind}: four at a time {spread(times[4])}, one {spread(times[1])}: {gain:.2f}×")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stages", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--dvc")
    parser.add_argument("--only", nargs="*", default=["stage", "up_to_date", "wide"])
    given = parser.parse_args()

    def prepare(lab: Lab) -> None:
        lab.home.mkdir(mode=0o700, exist_ok=True)
        (lab.home / "settings.toml").write_text("[pipelines]\nstages = 4\n")

    with running_lab(prepare) as lab:
        lab.tracking_ready()
        wait_until(lambda: lab.get("/service")["tracking"] == "running", 120, "MLflow")
        print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}")
        if "stage" in given.only:
            one_stage(lab, given.rounds)
        if "up_to_date" in given.only:
            up_to_date(lab, given.stages, given.rounds, given.dvc)
        if "wide" in given.only:
            wide(lab, max(1, given.rounds // 2))


if __name__ == "__main__":
    main()

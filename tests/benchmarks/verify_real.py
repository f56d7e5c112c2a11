"""False alarms of *Verify* on real notebooks: those in the source distributions of packages on PyPI.

    python -m tests.benchmarks.verify_real [--sdists FOLDER] [--python INTERPRETER] [--limit 40] [--package NAME …]

Each notebook is executed twice in a clean kernel of INTERPRETER (which has what they import), each time in a fresh copy
of its folder and with another PYTHONHASHSEED; the first execution stands for what was saved. What could not be executed
(a package or the network is missing) is left out, with its reason. For each cell: whether the outputs are the same byte
by byte, and what Verify says. A cell that Verify says differs is printed with the likely cause, to be judged by a
person: a true difference (chance, the clock) or a false alarm. Without --sdists they are downloaded by pip.
"""

from __future__ import annotations

import argparse
import copy
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpec
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from himalia_server.verifications.causes import Observation, find_causes, unsteady_cells
from himalia_server.verifications.compare import NotebookComparison, Status, compare_notebooks

PACKAGES = (
    "corner", "emcee", "lmfit", "holoviews", "iminuit", "tqdm", "hyperopt", "seaborn", "linearmodels",
    "bayesian-optimization", "control",
)  # fmt: skip
SKIPPED = ("tests", "test", ".ipynb_checkpoints", "plotly", "streams")
"""Folders whose notebooks are no documentation, or show what only a browser can."""
LINKED = 200_000
"""Bytes from which on a file is linked."""
SECONDS = 150


def out(line: str = "") -> None:
    """A line of the result."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


@dataclass
class Tally:
    """Of all notebooks."""

    notebooks: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    verdicts: Counter[str] = field(default_factory=Counter)
    bytewise: int = 0
    """Cells whose outputs differ byte by byte."""
    rules: Counter[str] = field(default_factory=Counter)
    causes: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)


class Kernel(AsyncKernelManager):
    """An ordinary kernel of one interpreter."""

    interpreter = sys.executable

    @property
    def kernel_spec(self) -> KernelSpec:
        """A specification that nobody has to install."""
        argv = [self.interpreter, "-m", "ipykernel_launcher", "--log-level=50", "-f", "{connection_file}"]
        return KernelSpec(argv=argv, display_name="Python 3", language="python")


def download(packages: list[str], folder: Path) -> None:
    """Fetch source distributions by pip; one that cannot be had is told and left out."""
    for name in packages:
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", name, "-d", str(folder)]
        if subprocess.run([*command, name], capture_output=True, timeout=600, check=False).returncode:
            out(f"{name}: no source distribution could be downloaded")


def unpacked(folder: Path, target: Path) -> None:
    """Unpack all archives."""
    for archive in sorted(folder.glob("*.tar.gz")):
        with tarfile.open(archive) as tar:
            tar.extractall(target, filter="data")


def found_in(folder: Path, each: int) -> Iterator[Path]:
    """Notebooks of documentation, at most *each* of a package, spread over its folders."""
    for package in sorted(place for place in folder.iterdir() if place.is_dir()):
        books = [
            path
            for path in sorted(package.rglob("*.ipynb"))
            if not set(path.relative_to(package).parts[:-1]) & set(SKIPPED)
        ]
        step = max(1, len(books) // each)
        yield from books[::step][:each]


def _copy(source: str, target: str) -> None:
    """Small files are copied, large ones linked: no notebook rewrites those."""
    if Path(source).stat().st_size < LINKED:
        shutil.copyfile(source, target)
    else:
        os.link(source, target)


def executed(path: Path, package: Path, python: str, seed: str) -> Any:
    """The notebook after its execution in a fresh copy of its package.

    Raises:
        CellExecutionError, TimeoutError, RuntimeError: it cannot be executed.
    """
    book = nbformat.read(path, as_version=4)
    for cell in book.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    with tempfile.TemporaryDirectory(prefix="verify-real-") as place:
        # the whole package: its notebooks read files from folders beside theirs
        copied = Path(place) / package.name
        shutil.copytree(package, copied, copy_function=_copy)
        work = copied / path.parent.relative_to(package)
        Kernel.interpreter = python
        resources = {"metadata": {"path": str(work)}}
        client = NotebookClient(book, kernel_manager_class=Kernel, timeout=SECONDS, resources=resources)
        environment = os.environ | {"PYTHONHASHSEED": seed, "MPLBACKEND": "module://matplotlib_inline.backend_inline"}
        client.execute(env=environment)
    return book


def reason(error: BaseException) -> str:
    """Why a notebook was left out, in few words."""
    if isinstance(error, CellExecutionError):
        return f"{error.ename}: {error.evalue}".splitlines()[0][:80]
    return type(error).__name__


def bytewise(saved: Any, now: Any) -> int:
    """Cells whose outputs are not the same."""

    def outputs(cell: Any) -> Any:
        made = copy.deepcopy(cell.get("outputs", []))
        for output in made:
            output.pop("execution_count", None)
        return made

    return sum(outputs(a) != outputs(b) for a, b in zip(saved.cells, now.cells, strict=True))


def tell(path: Path, saved: Any, comparison: NotebookComparison, tally: Tally) -> None:
    """Print what differs, and count."""
    tally.notebooks += 1
    tally.statuses.update(comparison.counts)
    tally.verdicts[comparison.verdict.value] += 1
    for cell in comparison.cells:
        tally.rules.update(cell.rules_used)
        if cell.status is Status.DIFFERS:
            difference = cell.differences[0]
            out(f"    cell {cell.number}: {difference.part}: {difference.detail}")
            out(f"      saved | {(difference.saved or '')[:140]!r}")
            out(f"      now   | {(difference.now or '')[:140]!r}")
        elif cell.status is Status.NOT_COMPARABLE:
            out(f"    cell {cell.number}: not comparable: {cell.notes[0][:120]}")
    causes = find_causes(saved, comparison, Observation(unsteady=unsteady_cells(comparison)))
    for cause in causes[:1]:
        tally.causes[cause.kind] += 1
        out(f"    cause: {cause.kind} ({cause.certainty}): {cause.evidence}")


def measure(folder: Path, python: str, limit: int, each: int) -> Tally:
    """Execute and compare."""
    tally = Tally()
    for path in found_in(folder, each):
        if tally.notebooks == limit:
            break
        name = path.relative_to(folder)
        began = time.monotonic()
        try:
            saved, now = (executed(path, folder / name.parts[0], python, seed) for seed in ("1", "2"))
        except (CellExecutionError, TimeoutError, RuntimeError, ValueError) as error:
            tally.left_out[reason(error)] += 1
            out(f"–   {name}: left out: {reason(error)}")
            continue
        comparison = compare_notebooks(saved, now)
        different = bytewise(saved, now)
        tally.bytewise += different
        used = Counter(rule for cell in comparison.cells for rule in cell.rules_used)
        out(
            f"{tally.notebooks + 1:3} {name}: {comparison.verdict}; {len(comparison.cells)} cells, {different} differ "
            f"byte by byte; {comparison.counts}; rules {dict(used)}; {time.monotonic() - began:.0f} s"
        )
        tell(path, saved, comparison, tally)
    return tally


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sdists", type=Path)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--limit", type=int, default=40)
    parser.add_argument("--each", type=int, default=8, help="notebooks of one package, at most")
    parser.add_argument("--package", action="append", default=[])
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="verify-real-") as place:
        sdists, source = given.sdists or Path(place) / "sdists", Path(place) / "source"
        if given.sdists is None:
            sdists.mkdir()
            download(given.package or list(PACKAGES), sdists)
        source.mkdir()
        unpacked(sdists, source)
        tally = measure(source, given.python, given.limit, given.each)
    out()
    out(f"{tally.notebooks} notebooks, {sum(tally.statuses.values())} code cells, {tally.bytewise} differ byte by byte")
    for title, counter in (
        ("cells", tally.statuses),
        ("verdicts", tally.verdicts),
        ("rules without which a cell would have differed", tally.rules),
        ("causes of first differences", tally.causes),
        ("left out", tally.left_out),
    ):
        out(f"{title}: " + ", ".join(f"{name} {count}" for name, count in counter.most_common()))


if __name__ == "__main__":
    main()

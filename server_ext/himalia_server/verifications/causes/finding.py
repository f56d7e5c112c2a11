"""Why a cell shows something else than was saved: what speaks for each cause, and what to do about it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ..compare import CellComparison, NotebookComparison, Status, code_cells, failing
from .cells import CellCode, aliases_of, read_cell, slice_of
from .chance import SET_ADVICE, Chance, find_chances

Certainty = Literal["sure", "likely", "possible"]
_RANK = {"sure": 0, "likely": 1, "possible": 2}
RUN_ALL = "Restart the kernel, run all cells, look at the result, then save."
_UNREPEATED = ("randomness", "registry", "wall_clock", "set_order", "file_order", "completion_order", "network")
_ORDERS = {"set_order", "file_order", "completion_order"}
_WORDS = {
    "randomness": "draws random numbers without a seed",
    "registry": "registers a model, of which each run makes a new version",
    "wall_clock": "depends on the time at which it is run",
    "set_order": "shows or iterates a set, whose order each kernel chooses anew",
    "file_order": "depends on the order in which a folder lists its files",
    "completion_order": "depends on the order in which tasks end",
    "network": "reads from the network, where the answer may change",
}
_SIGNS_OF_NETWORK = {
    "URLError",
    "ConnectionError",
    "HTTPError",
    "gaierror",
    "ConnectTimeout",
    "SSLError",
    "ConnectError",
}


@dataclass(frozen=True)
class Cause:
    """A likely cause. *cell*: number of the code cell, from 1, in which it lies; None: in no single one."""

    kind: str
    certainty: Certainty
    cell: int | None
    evidence: str
    advice: str


@dataclass(frozen=True)
class Observation:
    """What was seen beside the outputs.

    *unsteady*: numbers of the cells that showed different things in two clean runs; None: there was one run.
    *changed_files*: path → how it is known that it changed since the notebook was saved.
    *versions*: what the notebook was saved with and is run with now, such as ("Python", "3.11.2", "3.12.1").
    """

    unsteady: frozenset[int] | None = None
    changed_files: Mapping[str, str] = field(default_factory=dict)
    versions: Sequence[tuple[str, str, str]] = ()


def read_cells(notebook: Mapping[str, Any]) -> list[CellCode]:
    """The code of a notebook's cells, in their order."""
    found = []
    for number, (_, cell) in enumerate(code_cells(notebook), 1):
        source = cell.get("source", "")
        found.append(
            read_cell(number, cell.get("execution_count"), source if isinstance(source, str) else "".join(source))
        )
    return found


def needs_second_run(saved: Mapping[str, Any], comparison: NotebookComparison) -> bool:
    """Whether a second clean run can tell more: something differs, and not because a name or file is missing."""
    first = comparison.first
    if first is None:
        return False
    error = failing(first.executed_outputs)
    return error is None or error.get("ename") not in ("NameError", "FileNotFoundError", "ModuleNotFoundError")


def find_causes(
    saved: Mapping[str, Any], comparison: NotebookComparison, seen: Observation | None = None
) -> list[Cause]:
    """Likely causes of the first difference, the most certain one first; empty when nothing differs."""
    first = comparison.first
    if first is None:
        return []
    return sorted(_Finder(saved, first, seen or Observation()).find(), key=lambda cause: _RANK[cause.certainty])


class _Finder:
    def __init__(self, saved: Mapping[str, Any], first: CellComparison, seen: Observation) -> None:
        self.saved, self.first, self.seen = saved, first, seen
        self.cells = read_cells(saved)
        self.cell = self.cells[first.number - 1]
        self.above = self.cells[: first.number]
        self.slice = slice_of(self.cells, self.cell)
        self.names = {cell.number for cell in self.slice}
        self.error = failing(first.executed_outputs) if not failing(first.saved_outputs) else None
        self.unsteady = None if seen.unsteady is None else first.number in seen.unsteady

    def find(self) -> list[Cause]:
        found = self._of_error() if self.error is not None else []
        if not found or found[0].certainty != "sure":
            found += self._unrepeated()
            if not self.unsteady:
                found += [*self._files(), *self._order(), *self._repeated(), *self._versions()]
        return found or [self._rest()]

    # --- errors

    def _of_error(self) -> list[Cause]:
        assert self.error is not None
        name, text, number = str(self.error.get("ename")), str(self.error.get("evalue")), self.first.number
        if name == "NameError" and (match := re.search(r"name '([^']+)' is not defined", text)):
            return [self._undefined(match[1])]
        if name == "FileNotFoundError":
            advice = "Put the file into the project, and name it by a path relative to the notebook."
            return [
                Cause("missing_file", "sure", number, f"Cell {number} reads a file that is not there: {text}.", advice)
            ]
        if name in ("ModuleNotFoundError", "ImportError"):
            advice = "Add the package to the project's requirements, or install it where the project's kernel runs."
            return [Cause("environment", "sure", number, f"Cell {number} cannot import: {text}.", advice)]
        if name in _SIGNS_OF_NETWORK:
            advice = "Keep what is fetched as a file of the project, and read that."
            return [
                Cause("network", "likely", number, f"Cell {number} could not reach the network: {name}: {text}", advice)
            ]
        return []

    def _undefined(self, name: str) -> Cause:
        number = self.first.number
        later = next((cell for cell in self.cells[number:] if name in cell.binds), None)
        if later is not None:
            counts = f" (it was saved as [{later.count}], cell {number} as [{self.cell.count}])" if later.count else ""
            return Cause(
                "execution_order",
                "sure",
                later.number,
                f"Cell {number} uses {name}, which only cell {later.number}, below it, defines{counts}.",
                f"Move cell {later.number} above cell {number}. Then: {RUN_ALL}",
            )
        gap = self._gap()
        more = f" {gap}" if gap else ""
        return Cause(
            "undefined_name",
            "sure",
            number,
            f"Cell {number} uses {name}, and no cell defines it: a cell that did was deleted or changed.{more}",
            f"Write the cell that defines {name} again. Then: {RUN_ALL}",
        )

    # --- what a second run does not repeat either

    def _unrepeated(self) -> list[Cause]:
        near = find_chances(self.slice, self.above, aliases_of(self.cells))
        if self.unsteady is False:  # two clean runs agree: it is neither chance nor the clock
            # each of them registers the first version of what it has seen
            return [self._of_chance(chance, "likely") for chance in near if chance.kind == "registry"]
        far = [] if near else find_chances(self.above, self.above, aliases_of(self.cells))
        order = {kind: place for place, kind in enumerate(_UNREPEATED)}
        permuted = self._permuted()
        found = []
        for chance in sorted([*near, *far], key=lambda one: (order[one.kind], -one.cell)):
            certainty: Certainty = "possible" if far else "likely"
            if self.unsteady and not far:
                certainty = "sure" if len({one.kind for one in near}) == 1 else "likely"
            if chance.kind in _ORDERS and permuted:
                certainty = "sure" if self.unsteady else "likely"
            elif chance.kind in ("set_order", "file_order") and not permuted and self.error is None:
                certainty = "possible"
            found.append(self._of_chance(chance, certainty))
        if permuted and not any(cause.kind in _ORDERS for cause in found):
            told = f"Cell {self.first.number} shows the same words in another order."
            found.append(
                Cause("set_order", "likely" if self.unsteady else "possible", self.first.number, told, SET_ADVICE)
            )
        if self.unsteady and not found:
            told = (
                f"Two clean runs of cell {self.first.number} differ from one another, and its code does not tell why."
            )
            advice = (
                "Look for chance, time, threads or the network in what it calls; set seeds, or declare a tolerance."
            )
            found.append(Cause("nondeterminism", "sure", self.first.number, told, advice))
        return found

    def _of_chance(self, chance: Chance, certainty: Certainty) -> Cause:
        told = f"Cell {chance.cell} {_WORDS[chance.kind]}: {chance.what}"
        if self.unsteady:
            told += f"; two clean runs of cell {self.first.number} differ from one another"
        return Cause(chance.kind, certainty, chance.cell, f"{told}.", chance.advice)

    def _permuted(self) -> bool:
        """Whether the texts hold the same words in another order, or the same lines but for their numbers."""
        saved, now = _lines(self.first.saved_outputs), _lines(self.first.executed_outputs)
        if saved != now and Counter(saved) == Counter(now):
            return True
        return any(
            difference.saved != difference.now
            and Counter(_tokens(difference.saved)) == Counter(_tokens(difference.now))
            and len(_tokens(difference.saved)) > 1
            for difference in self.first.differences
            if difference.saved and difference.now
        )

    # --- what was there when it was saved

    def _files(self) -> list[Cause]:
        found = []
        for path, how in self.seen.changed_files.items():
            readers = [cell for cell in self.slice if any(_names(text, path) for text in cell.texts)]
            reader = readers[-1].number if readers else None
            told = f"{path}{f', which cell {reader} reads,' if reader else ''} {how}."
            advice = "If the new file is right, run all cells and save; else put the old file back."
            found.append(Cause("changed_file", "likely" if reader else "possible", reader, told, advice))
        return found

    def _order(self) -> list[Cause]:
        """Cells that were run after one below them."""
        ran = [cell for cell in self.cells if cell.count is not None]
        pairs = [
            (upper, lower)
            for place, upper in enumerate(ran)
            for lower in ran[place + 1 :]
            if upper.count is not None and lower.count is not None and upper.count > lower.count
        ]
        if not pairs:
            return []
        mine = [pair for pair in pairs if self._concerns(*pair)]
        upper, lower = (mine or pairs)[0]
        shared = sorted((upper.gives & (lower.needs | lower.late)) | (lower.gives & (upper.needs | upper.late)))
        about = f" Both are about {', '.join(shared[:3])}." if shared and mine else ""
        told = (
            f"Cell {upper.number} was run after cell {lower.number}, which stands below it: [{upper.count}] and "
            f"[{lower.count}].{about}"
        )
        return [Cause("execution_order", "likely" if mine else "possible", upper.number, told, RUN_ALL)]

    def _concerns(self, upper: CellCode, lower: CellCode) -> bool:
        """Whether it matters for the first difference in which order two cells were run."""
        involved = self.names | {self.first.number}
        if upper.number not in involved and lower.number not in involved:
            return False
        needed = set[str]().union(*(cell.needs | cell.late for cell in self.slice))
        return bool((upper.gives | lower.gives) & needed) or bool(
            (upper.gives & (lower.needs | lower.late | lower.gives)) | (lower.gives & (upper.needs | upper.late))
        )

    def _repeated(self) -> list[Cause]:
        """Executions that the notebook no longer shows: a cell was run more than once, changed, or deleted."""
        gap = self._gap()
        if gap is None:
            return []
        again = [cell for cell in self.slice if cell.repeats]
        if again:
            cell = again[-1]
            names = ", ".join(sorted(cell.repeats)[:3])
            told = f"Cell {cell.number} changes {names} each time it is run, and may have been run again. {gap}"
            advice = f"Have cell {cell.number} make {names} anew from what it was before. Then: {RUN_ALL}"
            return [Cause("hidden_state", "likely", cell.number, told, advice)]
        told = f"{gap} A cell was deleted, or changed and run again, after this output was made."
        return [Cause("hidden_state", "likely", None, told, RUN_ALL)]

    def _gap(self) -> str | None:
        """Execution counts that no cell above has, told; None: there are none missing."""
        if not self.cell.count:
            return None
        counts = {cell.count for cell in self.cells if cell.count is not None}
        missing = [number for number in range(1, self.cell.count) if number not in counts]
        if not missing:
            return None
        told = f"[{missing[0]}]" if len(missing) == 1 else f"{len(missing)} numbers, [{missing[0]}] to [{missing[-1]}],"
        verb = "is" if len(missing) == 1 else "are"
        return f"Of the executions before [{self.cell.count}], {told} {verb} on no cell any more."

    def _versions(self) -> list[Cause]:
        told = [f"{what} {saved} was used when it was saved, {now} now" for what, saved, now in self.seen.versions]
        if not told:
            return []
        advice = "If the new result is right, run all cells and save; else pin the version in the requirements."
        return [Cause("environment", "possible", None, f"{'; '.join(told)}.", advice)]

    def _rest(self) -> Cause:
        number = self.first.number
        if self.first.status is Status.NOT_RUN:
            told = f"Cell {number} was run when the notebook was saved, and is not reached now."
        elif self.error is not None:
            told = f"Cell {number} fails now: {self.error.get('ename')}: {self.error.get('evalue')}"[:400]
        elif self.unsteady is False:
            told = (
                f"Two clean runs agree with one another, but not with the saved output: cell {number}, or one above, "
                "was changed after the output was made, or used what no cell makes any more."
            )
        else:
            told = f"Nothing in the code of cell {number} tells why it shows something else now."
        return Cause("unknown", "possible", number, told, RUN_ALL)


def unsteady_cells(between: NotebookComparison) -> frozenset[int]:
    """Numbers of the cells that two clean runs, compared with one another, show differently."""
    return frozenset(cell.number for cell in between.cells if cell.status in (Status.DIFFERS, Status.NOT_RUN))


def _tokens(text: str) -> list[str]:
    return re.findall(r"[\w.+-]+", text)


def _lines(outputs: Sequence[Mapping[str, Any]]) -> list[str]:
    """The lines of what is text, without their numbers: how long each took is another one each time."""
    texts = [output.get("text", (output.get("data") or {}).get("text/plain", "")) for output in outputs]
    joined = "\n".join(text if isinstance(text, str) else "".join(text) for text in texts)
    return [re.sub(r"\d+(?:\.\d+)?", "0", line) for line in joined.splitlines()]


def _names(text: str, path: str) -> bool:
    """Whether a text of the code names a file: its path, the end of it, or a folder above it."""
    text = text.removeprefix("./").rstrip("/")
    return bool(text) and (text == path or path.endswith(f"/{text}") or path.startswith(f"{text}/"))

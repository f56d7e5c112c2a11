"""Run the tests in tiers: ``python -m tests [TIER…]``, all tiers without an argument but those run by name only.

Each tier prints as it goes. At the end stands each tier's duration beside its budget, and in the last line
what passed and what failed; the exit code is 1 when anything failed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests import frontend

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("himalia", "himalia_kernels", "himalia_server")


@dataclass
class Tally:
    """What one tier came to."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0.0


def run(arguments: list[str]) -> int:
    """Run a program in the repository with its output on ours; returns its exit code."""
    return subprocess.run(arguments, cwd=ROOT, check=False).returncode


def gates() -> Tally:
    """The static checks; each counts as one test."""
    python = sys.executable
    commands = {
        "ruff check": [python, "-m", "ruff", "check", "."],
        "ruff format": [python, "-m", "ruff", "format", "--check", "."],
        "mypy": [python, "-m", "mypy", *(word for name in PACKAGES for word in ("-p", name))],
        "lint-imports": [str(Path(python).with_name("lint-imports")), "--no-logo"],
    }
    return each({name: partial(passes, command) for name, command in commands.items()})


def each(checks: Mapping[str, Callable[[], bool]]) -> Tally:
    """Checks by name, in their order; each counts as one test."""
    tally = Tally()
    for name, check in checks.items():
        say(f"-- {name}")
        if check():
            tally.passed += 1
        else:
            tally.failed += 1
            say(f"-- {name} FAILED")
    return tally


def passes(command: list[str]) -> bool:
    """Whether a program ends well."""
    return run(command) == 0


def pytest(folder: str, *options: str) -> Tally:
    """One folder of tests in a pytest of its own, counted from the report that pytest writes."""
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch) / "report.xml"
        code = run([sys.executable, "-m", "pytest", f"tests/{folder}", f"--junitxml={report}", *options])
        tally = count(report) if report.exists() else Tally()
    if code != 0 and tally.failed == 0:
        tally.failed = 1  # no test failed, but pytest did: nothing collected, or an error of its own
    return tally


def count(report: Path) -> Tally:
    """The numbers of a JUnit report; an error in a fixture is a failure."""
    tally = Tally()
    for suite in ET.parse(report).getroot().iter("testsuite"):
        bad = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        skipped = int(suite.get("skipped", 0))
        tally.failed += bad
        tally.skipped += skipped
        tally.passed += max(0, int(suite.get("tests", 0)) - bad - skipped)
    return tally


@dataclass(frozen=True)
class Tier:
    """A group of tests, what runs it, and how many seconds it may take on two cores."""

    run: Callable[[], Tally]
    budget: float
    named: bool = False
    """Runs only when it is asked for by its name."""


TIERS = {
    "gates": Tier(gates, 120),
    "lab": Tier(lambda: each(frontend.GATES), 240),
    "pure": Tier(lambda: pytest("pure"), 240),
    "site": Tier(lambda: pytest("site", "--numprocesses=2", "--dist=loadfile"), 1300),
    "ui": Tier(lambda: pytest("ui"), 700),
    "wheel": Tier(lambda: pytest("wheel"), 300),
    "soak": Tier(lambda: pytest("soak", "-s"), 7200, named=True),
}


def say(text: str) -> None:
    """A line of our own, in order with the output of the programs we run."""
    print(text, flush=True)


def summary(tallies: dict[str, Tally]) -> None:
    """Durations against budgets, and the sum in the last line."""
    say("")
    for name, tally in tallies.items():
        budget = TIERS[name].budget
        late = "  OVER BUDGET" if tally.seconds > budget else ""
        say(
            f"{name:<6} {tally.passed:>5} passed {tally.failed:>3} failed {tally.skipped:>3} skipped "
            f"{tally.seconds:>6.0f} s of {budget:.0f} s{late}"
        )
    passed = sum(tally.passed for tally in tallies.values())
    failed = sum(tally.failed for tally in tallies.values())
    say(f"{passed} passed, {failed} failed")


def main() -> int:
    """Run the tiers asked for, in their order."""
    parser = argparse.ArgumentParser(prog="python -m tests", description="Run Himalia's tests.")
    parser.add_argument("tiers", nargs="*", metavar="TIER", help=f"{', '.join(TIERS)} (default: all but soak)")
    parser.add_argument("--times", type=int, help="how often the tier soak makes each fault (default: as each says)")
    parser.add_argument("--update-readme", action="store_true", help="let the tier ui renew the README's picture")
    options = parser.parse_args()
    asked = options.tiers
    if options.update_readme:
        os.environ["HIMALIA_UPDATE_README"] = "1"
    if options.times:
        os.environ["HIMALIA_SOAK_TIMES"] = str(options.times)
    unknown = [name for name in asked if name not in TIERS]
    if unknown:
        parser.error(f"there is no tier {', '.join(unknown)}; there are {', '.join(TIERS)}")
    tallies = {}
    for name in [name for name, tier in TIERS.items() if name in asked or not (asked or tier.named)]:
        say(f"== {name}")
        started = time.monotonic()
        tallies[name] = TIERS[name].run()
        tallies[name].seconds = time.monotonic() - started
    summary(tallies)
    return 1 if any(tally.failed for tally in tallies.values()) else 0


if __name__ == "__main__":
    sys.exit(main())

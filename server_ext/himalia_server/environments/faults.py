"""Why a build failed, in one sentence with the package to blame, from what uv said."""

from __future__ import annotations

import re
from dataclasses import dataclass

NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
_GLYPHS = re.compile(r"[×╰├│─▶]|^\s*cause:", re.MULTILINE)
_ADDRESS = re.compile(r"https?://([^/\s)`']+)[^\s)`']*")
NETWORK = (
    "error sending request",
    "dns error",
    "operation timed out",
    "failed to lookup address",
    "network was disabled",
    "Could not resolve host",
    "Couldn't connect to server",
    "Failed to connect to",
    "Network is unreachable",
)


@dataclass(frozen=True)
class Fault:
    """`package`: the one to blame, when there is one. `network`: another attempt may go better."""

    sentence: str
    package: str | None = None
    network: bool = False


def explain(output: str) -> Fault:
    """Read uv's error output.

    What it does not know is told by uv's own words.
    """
    flat = " ".join(_GLYPHS.sub(" ", output).split())
    package = _package(flat)
    for read in (_disk, _hashes, _network, _build, _solution, _requirement):
        fault = read(flat, package)
        if fault is not None:
            return fault
    return Fault(_own_words(output), package)


def _package(flat: str) -> str | None:
    """The package that uv names as the one it failed with."""
    patterns = (
        rf"Failed to (?:download|build|install|fetch|download and build|prepare|unpack)[^`:]*[`:]\s?"
        rf"({NAME})(?:==| @|`)",
        rf"Hash mismatch for `({NAME})",
        rf"Failed to install: \S+ \(({NAME})==",
        rf"/simple/({NAME})/",
    )
    for pattern in patterns:
        match = re.search(pattern, flat)
        if match:
            return match[1]
    return None


def _disk(flat: str, package: str | None) -> Fault | None:
    if "No space left on device" in flat or "Disk quota exceeded" in flat:
        at = f" while {package} was put in" if package else ""
        return Fault(f"The disk is full{at}: free some space and build again.", package)
    return None


def _hashes(flat: str, package: str | None) -> Fault | None:
    if "Hash mismatch" not in flat and "Hash-checking is enabled" not in flat:
        return None
    missing = re.search(rf"no hashes were provided for: `?({NAME})", flat)
    if missing:
        return Fault(f"The lock has hashes, but none for {missing[1]}.", missing[1])
    return Fault(
        f"{package or 'A package'} is not the file that the lock was made with: its hash differs. Somebody has "
        "replaced it at the package index, or the lock was edited.",
        package,
    )


def _network(flat: str, package: str | None) -> Fault | None:
    if not any(word in flat for word in NETWORK) or "returned an error" in flat:
        return None
    package = package or _named(rf"({NAME}) was not found in the cache", flat)
    place = _ADDRESS.search(flat)
    host = place[1].rpartition("@")[2] if place else "the package index"
    what = f" for {package}" if package else ""
    return Fault(f"{host} could not be reached{what}: the network is away, or it does not answer.", package, True)


def _build(flat: str, package: str | None) -> Fault | None:
    if "build backend returned an error" not in flat and "Failed to build" not in flat:
        return None
    package = _named(rf"Failed to (?:download and )?build `({NAME})", flat) or package
    raised = re.findall(r"\b([A-Z]\w*(?:Error|Exception)): (.*?)(?= hint:| The above| Traceback|$)", flat)
    why = f": {raised[-1][0]}: {raised[-1][1][:200].strip()}" if raised else ""
    return Fault(
        f"{package or 'A package'} has no wheel for this machine and could not be built from its source{why}.", package
    )


def _solution(flat: str, package: str | None) -> Fault | None:
    start = flat.find("No solution found")
    if start < 0:
        return None
    reason = flat[start:]
    index = "the package index" if "package registry" in reason else "the places where packages are looked for"
    absent = _named(
        rf"\b({NAME}) was not found in (?:the package registry|the provided package locations|the cache)", reason
    )
    if absent:
        return Fault(f"There is no package {absent} at {index}.", absent)
    wheel = re.search(
        rf"Because ({NAME})==(\S+) has no (?:usable )?wheels(?: with a matching (\w+(?: \w+)?) tag)?", reason
    ) or re.search(rf"({NAME})==(\S+) has no (?:usable )?wheels", reason)
    if wheel:
        return Fault(
            f"{wheel[1]} {wheel[2]} has no wheel for this Python on this machine, and no source to build it from.",
            wheel[1],
        )
    python = re.search(rf"({NAME})(\S*) (?:requires|depends on) Python ?([<>=!~][^\s,]*(?:, ?[<>=!~][^\s,]*)*)", reason)
    if python:
        version = f" {python[2].lstrip('=')}" if python[2] else ""
        return Fault(f"{python[1]}{version} needs Python {python[3]}, which this environment does not have.", python[1])
    version_ = re.search(rf"there (?:is|are) no versions? of ({NAME})(\S*)", reason)
    if version_ and version_[2]:
        return Fault(f"There is no version {version_[2].lstrip('=')} of {version_[1]} at {index}.", version_[1])
    sentences = re.search(r"(?:Because|we can conclude).*?(?= hint:|$)", reason)
    culprit = _named(rf"And because you require ({NAME})", reason) or _named(rf"you require ({NAME})", reason)
    text = sentences[0][:600] if sentences else reason[:600]
    return Fault(f"No versions fit together. {text}", culprit or package)


def _requirement(flat: str, package: str | None) -> Fault | None:
    match = re.search(r"Couldn't parse requirement in `([^`]*)`[^:]*?(?:at position \d+)? (.*?)(?: hint:|$)", flat)
    if match is None:
        return None
    return Fault(f"A line of {match[1]} is no requirement: {match[2].strip(' ^')[:300]}", package)


def _own_words(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    first = next((number for number, line in enumerate(lines) if line.startswith("error:")), None)
    if first is None:
        first = next((number for number, line in enumerate(lines) if line.startswith("×")), max(0, len(lines) - 1))
    text = " ".join(_GLYPHS.sub("", line).removeprefix("error:").strip() for line in lines[first : first + 3])
    return text[:600] or "uv ended with a failure and said nothing."


def _named(pattern: str, text: str) -> str | None:
    match = re.search(pattern, text)
    return match[1] if match else None

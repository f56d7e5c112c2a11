"""What changes from one run to the next without meaning anything: one table, a row for each kind.

A rule is applied to both outputs, and only when they differ as they are. What it replaces must say by its own form, or
by the words around it, that it is volatile: a date in a table of data is a result, one before a log line is not.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from .terminal import shown

_NUMBER = r"\d+(?:[.,]\d+)?(?:[eE][-+]?\d+)?"
_TIME_UNIT = r"(?:ns|µs|μs|us|ms|s|secs?|seconds?|m|mins?|minutes?|h|hours?)\b"
_CLOCK = r"\d{1,2}:\d\d(?::\d\d)?(?:[.,]\d+)?"
_DAY = r"\d{4}[-/]\d\d[-/]\d\d"
_STAMP = rf"(?:{_DAY}[ T])?{_CLOCK}(?:Z|[+-]\d\d:?\d\d)?"
_LEVEL = r"(?:DEBUG|INFO|WARN(?:ING)?|ERROR|CRITICAL|FATAL|TRACE|NOTICE)"
_HEX = "[0-9a-fA-F]"


@dataclass(frozen=True)
class Rule:
    """*pattern* is replaced by *by* wherever it matches; *when*: only in cells whose source has this."""

    name: str
    what: str
    pattern: str
    by: str
    flags: int = re.M
    when: str | None = None

    def applies(self, source: str) -> bool:
        """Whether it holds for what a cell of this source shows."""
        return self.when is None or _compiled(self.when, re.M).search(source) is not None

    def matches(self, text: str) -> list[str]:
        """What of *text* it takes away."""
        return [match[0] for match in _compiled(self.pattern, self.flags).finditer(text)]

    def strip(self, text: str) -> str:
        """*text* without it."""
        return _compiled(self.pattern, self.flags).sub(self.by, text)


@lru_cache(256)
def _compiled(pattern: str, flags: int) -> re.Pattern[str]:
    """Compiled when it is first used: the service starts without."""
    return re.compile(pattern, flags)


TIMED = (
    r"^\s*%%?(?:time|timeit|prun)\b|\b(?:perf_counter|process_time|monotonic|time\.time|default_timer|timeit)(?:_ns)?\("
)
"""In the source of a cell that measures time."""

RULES: tuple[Rule, ...] = (
    Rule("uuid", "UUIDs", rf"\b{_HEX}{{8}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{12}}\b", "<uuid>"),
    Rule("address", "memory addresses of objects", rf"(\bat |@ ?)0x{_HEX}{{4,16}}\b", r"\g<1>0x…"),
    Rule("pointer", "bare pointers", rf"\b0x(?:0{{4}})?(?:7f|7e|5[56]|ff)?{_HEX}{{10}}\b", "0x…"),
    Rule("object-id", "numbers by which Python names objects", r"\b(id[=:(] ?)\d{12,16}\b", r"\g<1>…"),
    # --- times that were measured
    Rule("cpu-times", "%time: CPU times and wall time", r"^(CPU times|Wall time|Compiler)( ?: ).*$", r"\1\2…"),
    Rule(
        "timeit",
        "%timeit",
        rf"{_NUMBER} ?{_TIME_UNIT} ± {_NUMBER} ?{_TIME_UNIT} per loop.*$"
        rf"|\d[\d,]* loops?, best of \d+: .*$",
        "<timeit>",
    ),
    Rule("timeit-note", "%timeit, on runs that took unlike times", r"^The slowest run took [^\n]*\n?", ""),
    Rule(
        "progress-bar",
        "progress bars of tqdm and the like",
        r"^([^\n|]*?)\d{1,3}%\s?\|[^\n|]*\|?[^\n\[]*(?:\[[^\]\n]*\])?.*$|^([^\n]*?)\d+it \[[^\]\n]*\].*$",
        r"\1\2<progress>",
    ),
    Rule(
        "bar",
        "bars drawn of blocks or signs, with what stands behind them",
        r"[ \t]*(?:\[[=>#.\-\s]{8,}\]|[━╸╺╾─]{8,}|[█▉▊▋▌▍▎▏░▒▓ ]*[█▉▊▋▌▍▎▏░▒▓]{3,}[█▉▊▋▌▍▎▏░▒▓ ]*)"
        rf"[^\n]*?{_NUMBER} ?(?:%|{_TIME_UNIT}|(?:ms|us|µs|s)/step)[^\n-]*",
        " <bar> ",
    ),
    Rule(
        "rate",
        "rates: iterations, steps, rows or bytes a second",
        rf"{_NUMBER} ?(?:[kKMG]i?)?(?:B|it|its|iter(?:ation)?s?|steps?|samples?|rows?|examples?|epochs?|draws?|tokens?)"
        rf" ?/ ?(?:s|sec|second)\b|{_NUMBER} ?(?:ns|µs|us|ms|s)/(?:it|step|iter|sample|epoch|draw)\b",
        "<rate>",
    ),
    Rule(
        "elapsed",
        "durations that words around them call so",
        # a bare "time" or "duration" may be what the data is about: the air time of flights, the duration of rides
        r"((?:\b(?:took|elapsed|finished in|done in|completed in|ran in|built in|loaded in|computed in|run ?time|"
        r"time taken|remaining|eta|(?:total|fit|score|training|execution|sampling|wall|cpu|compute|elapsed)[ _-]?time)"
        r"|(?:^|[│|])[ \t]*time)\b[^\d\n]{0,24}?)"
        rf"{_NUMBER} ?{_TIME_UNIT}(?: ?(?:and )?{_NUMBER} ?{_TIME_UNIT})*",
        r"\1<duration>",
        flags=re.M | re.I,
    ),
    Rule(
        "after",
        "how long something took: after 3.1 s",
        rf"(\bafter ){_NUMBER} ?(?:ns|µs|μs|us|ms|s|secs?|seconds?)\b",
        r"\1<duration>",
    ),
    Rule(
        "time-attribute",
        "how long something took, in an object's repr",
        r"(<\w+ [^>\n]*\b(?:time|elapsed|duration|seconds)=)\d+\.\d{4,}(?:[eE][-+]?\d+)?",
        r"\1<duration>",
    ),
    Rule(
        "elapsed-clock",
        "durations as hours, minutes, seconds, which words around them call so",
        r"(\b(?:elapsed|took|remaining|eta|run ?time|(?:total|execution|training|wall)[ _]time)\b[^\d\n]{0,16}?)"
        r"(?:\d+ days?,? )?\d{1,3}:\d\d(?::\d\d)?(?:\.\d+)?",
        r"\1<duration>",
        flags=re.M | re.I,
    ),
    Rule(
        "seconds",
        "durations such as 0.31s, the unit set against a fraction",
        r"(?<![\w.])\d+\.\d+(?:ns|µs|μs|us|ms|s)\b",
        "<duration>",
    ),
    Rule(
        "timed-cell",
        "in a cell that measures time: numbers with a unit of time",
        rf"(?<![\w.]){_NUMBER} ?{_TIME_UNIT}",
        "<duration>",
        when=TIMED,
    ),
    # --- when it was run
    Rule(
        "log-time",
        "the date and time before a log line",
        rf"^([ \t]*[\[(]?(?:[IWEDCF] )?){_STAMP}"
        rf"((?:[\])]|[ \t:,|-]|\[[^\]\n]*\])[^\n]{{0,80}}?\b(?:{_LEVEL}|[IWEDF](?=[\] ]))\b)",
        r"\1<time>\2",
    ),
    Rule(
        "log-bracket",
        "the date and time in brackets before a log line",
        rf"^([ \t]*\[(?:[IWEDCF] )?){_DAY}[ T]{_CLOCK}[^\]\n]*(\])",
        r"\1<time>\2",
    ),
    Rule(
        "glog",
        "the prefix of Google's log lines: date, time, process, line",
        r"^([IWEF])(?:\d{4}) \d\d:\d\d:[\d.:]+\s+\d+ ([\w./-]+):\d+\]",
        r"\1<time> \2]",
    ),
    Rule(
        "report-date",
        "the date and time of a model's summary (statsmodels, lifelines)",
        r"((?:^|[>|])[ \t]*(?:Date|Time):\s*(?:</?t[hd][^>]*>\s*)*)"
        r"(?:[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4}|\d\d:\d\d:\d\d)"
        r"|(time fit was run\s*=?\s*(?:</?t[hd][^>]*>\s*)*)\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC",
        r"\1\2<time>",
    ),
    Rule(
        "created-at",
        "when a file or an object says it was made",
        r"((?:created(?:[_ -]at|[_ -]on)?|generated(?:[_ -]at|[_ -]on)?"
        r"|(?:analysis|report) (?:started|finished|generated))\b['\"]?[ \t]*(?:[:=]|</?\w[^>\n]*>|\s)[^\d\n]{0,40})"
        r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d)?(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)?",
        r"\1<time>",
        flags=re.M | re.I,
    ),
    # --- where it was run
    Rule(
        "warning-place",
        "the file and line that a warning comes from",
        r"^(?:<ipython-input-[^>\n]*>|<stdin>|<string>"
        r"|[^\s:][^\n:]*?([\w.-]+\.py)|[A-Za-z]:[^\n:]*?([\w.-]+\.py)):\d+: "
        r"((?:\w+\.)*\w*(?:Warning|Deprecat\w*)\b)",
        r"\1\2: \3",
    ),
    Rule("kernel-file", "files that IPython makes of cells", r"(?:/[\w./-]*)?/ipykernel_\d+/\d+\.py", "<cell>.py"),
    Rule(
        "temp-path",
        "files in temporary folders",
        r"(?:/private)?(?:/var/folders/\w+/[\w+-]+/T|/var/tmp|/tmp|/dev/shm)/[\w.+-]+"
        r"|[A-Za-z]:[\\/]+Users[\\/]+[^\\/\n]+[\\/]+AppData[\\/]+Local[\\/]+Temp[\\/]+[\w.-]+",
        "<tmp>",
    ),
    Rule("temp-name", "names that tempfile makes", r"(?<![A-Za-z0-9])tmp[a-z0-9_]{8}(?![A-Za-z0-9_])", "tmp…"),
    Rule("pid", "process ids", r"\b(pid|process id)([ =:#']{1,3})\d+", r"\1\2…", flags=re.M | re.I),
    Rule(
        "port",
        "ports of this machine and of local networks",
        r"\b(localhost|127\.0\.0\.1|0\.0\.0\.0|(?:10|172|192)\.\d{1,3}\.\d{1,3}\.\d{1,3}):\d{2,5}\b",
        r"\1:…",
    ),
    Rule(
        "dask-name",
        "names that Dask gives to clusters, clients and workers",
        rf"\b((?:Local|Spec|SSH)?Cluster\(|Client-|Scheduler-|(?:LocalCluster|Nanny|Worker)-)(?:{_HEX}{{8}}|<uuid>)",
        r"\1…",
    ),
    Rule(
        "dask-memory",
        "the memory of the machine that a Dask cluster runs on",
        r"((?:<Client[^\n]*?|Cluster\([^\n]*?|<WorkerState[^\n]*?)memory=)[\d.]+ ?[KMGT]i?B",
        r"\1…",
    ),
    Rule(
        "mlflow-run",
        "links to MLflow's runs",
        rf"(/(?:runs|experiments)/)(?:{_HEX}{{32}}|\d+)|(View run )[\w -]+( at:)",
        r"\1\2\3…",
    ),
    Rule(
        "registry",
        "that MLflow has made a model, or a further version of it",
        r"^(?:Successfully registered model '[^'\n]*'\.|Registered model '[^'\n]*' already exists\. Creating [^\n]*"
        r"|Created version '\d+' of model '[^'\n]*'\.)\n?",
        "",
    ),
    Rule(
        "registry-version",
        "the number of the version that MLflow waits for",
        r"(\bmodel version to finish creation\. Model name: [^\n]*, version )\d+",
        r"\1…",
    ),
    Rule(
        "download",
        "that something is downloaded or taken from a cache",
        r"^[ \t]*(?:Downloading|Extracting|Fetching|Using cached|(?:Dataset |File )?already downloaded)\b[^\n]*\n?",
        "",
        flags=re.M | re.I,
    ),
)
"""Applied in this order."""


@dataclass(frozen=True)
class Normalised:
    """Two texts after the rules, and the names of those that took something away that differed."""

    saved: str
    now: str
    rules: frozenset[str]


def normalise(saved: str, now: str, source: str = "", places: Sequence[str] = ()) -> Normalised:
    """Both texts without what is volatile.

    *source*: of the cell that made them; *places*: folders in which the notebook was and is executed, which mean the
    same thing.
    """
    used: set[str] = set()
    for name, step in (("terminal", shown), ("folder", lambda text: _placed(text, places))):
        a, b = step(saved), step(now)
        if (a != saved or b != now) and _unlike(saved, now, a, b):
            used.add(name)
        saved, now = a, b
    for rule in RULES:
        if not rule.applies(source):
            continue
        if rule.matches(saved) != rule.matches(now):
            used.add(rule.name)
        saved, now = rule.strip(saved), rule.strip(now)
    return Normalised(_unpadded(saved), _unpadded(now), frozenset(used))


def _placed(text: str, places: Sequence[str]) -> str:
    for place in sorted((place for place in places if len(place) > 1), key=len, reverse=True):
        text = text.replace(place, "<folder>")
    return text


def _unlike(saved: str, now: str, a: str, b: str) -> bool:
    """Whether what a step took away differed between the two."""
    return saved != now and (a == b or len(saved) - len(a) != len(now) - len(b))


def _unpadded(text: str) -> str:
    """Without blank lines that only what was volatile had set apart, and without blanks before a line's end."""
    return "\n".join(line.rstrip() for line in text.strip("\n").split("\n"))

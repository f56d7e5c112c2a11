"""The tables of `himalia.toml`: what each may hold. The published JSON schema is made from them."""

from __future__ import annotations

import json
import re
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

NAME = "himalia.toml"
SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,61}[a-z0-9]")
"""Names of projects; MLflow's workspaces, which bear them, have 2 characters or more."""
DEPTH = 32
"""Levels of tables and lists within a parameter."""
TEN_YEARS = 10 * 366 * 86400.0
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h|d)")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kKMGT])(i?)B?")
_STAGE = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_COMPONENT = re.compile(rf"{SLUG.pattern}/[a-z][a-z0-9_-]{{0,62}}@[0-9][A-Za-z0-9.+-]{{0,62}}")
SITE = "site"
"""What a stage calls the site's own packages, where an environment is to be named."""
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds(duration: str) -> float:
    """Seconds of "90s", "30m", "2h" or "1d".

    Raises:
        ValueError: it is none of these.
    """
    match = _DURATION.fullmatch(duration.strip())
    if match is None:
        raise ValueError(f"{duration!r} is not a duration; write for example '90s', '30m' or '2h'")
    found = float(match[1]) * _SECONDS[match[2]]
    if not found:
        raise ValueError(f"{duration!r} is no time at all")
    if found > TEN_YEARS:
        raise ValueError(f"{duration[:40]!r} is more than ten years")
    return found


def size(text: str) -> int:
    """Bytes of "512 MiB", "4 GiB" or "2GB".

    Raises:
        ValueError: it is none of these.
    """
    match = _SIZE.fullmatch(text.strip())
    found = float(match[1]) * (1024 if match[3] else 1000) ** (" KMGT".index(match[2].upper())) if match else 0.0
    if not 1 <= found < 1 << 60:
        raise ValueError(f"{text[:40]!r} is not a size; write for example '512 MiB' or '4 GiB'")
    return int(found)


def _relative(path: str) -> str:
    parts = PurePosixPath(path)
    wrong = not parts.parts or parts.is_absolute() or ".." in parts.parts or "\\" in path or ":" in path
    if wrong or len(path) > 400 or any(len(part) > 200 for part in parts.parts) or "\0" in path:
        raise ValueError(f"{path!r} must be a relative path inside the project, with / between folders")
    return str(parts)


def _duration(text: str) -> str:
    seconds(text)
    return text


def _jsonable(params: dict[str, Any]) -> dict[str, Any]:
    if _deeper(params, DEPTH):
        raise ValueError(f"parameters are nested at most {DEPTH} deep")
    try:
        json.dumps(params, allow_nan=False, ensure_ascii=False).encode()
    except (TypeError, ValueError) as error:
        raise ValueError(f"parameters are numbers, texts, true or false, lists and tables of them ({error})") from error
    return params


def _deeper(value: Any, depth: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    return depth == 0 or any(
        _deeper(part, depth - 1) for part in (value.values() if isinstance(value, dict) else value)
    )


def _stage_name(name: str) -> str:
    if not _STAGE.fullmatch(name):
        raise ValueError(f"stage name {name!r}: use small letters, digits, - and _")
    return name


def _size(text: str) -> str:
    size(text)
    return text


def _module(name: str) -> str:
    if not all(part.isidentifier() for part in name.split(".")):
        raise ValueError(f"{name!r} is not a module's name")
    return name


def _component(text: str) -> str:
    if not _COMPONENT.fullmatch(text):
        raise ValueError(f"{text!r} is not a component; write for example 'team/features@1.2'")
    return text


def _whole(pattern: re.Pattern[str]) -> Any:
    """The form of a text in the JSON schema; the check itself is the validator's, which says it in words."""
    return Field(json_schema_extra={"pattern": f"^(?:{pattern.pattern})$"})


RelativePath = Annotated[str, AfterValidator(_relative)]
Duration = Annotated[str, AfterValidator(_duration), _whole(_DURATION)]
Bytes = Annotated[str, AfterValidator(_size), _whole(_SIZE)]
ModuleName = Annotated[str, AfterValidator(_module)]
ComponentName = Annotated[str, AfterValidator(_component), _whole(_COMPONENT)]
Parameters = Annotated[dict[str, Any], AfterValidator(_jsonable)]
StageName = Annotated[str, AfterValidator(_stage_name), _whole(_STAGE)]


def _said(text: str, *examples: Any, **bounds: Any) -> Any:
    return Field(description=text, examples=list(examples) or None, **bounds)


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ProjectTable(_Table):
    """What the project is called and what it is about."""

    model_config = ConfigDict(title="[project]")
    name: Annotated[str, _said("The project's name, as people read it.", "nyc-flights", min_length=1, max_length=63)]
    description: Annotated[str, _said("One line on what it is about.", "Which flights arrive late?")] = ""
    uses: Annotated[
        list[ComponentName],
        _said("Published components of other projects: their modules can be imported here.", ["team/features@1.2"]),
    ] = []


class EnvironmentTable(_Table):
    """The packages that the project's code finds. Absent: the site's own environment.

    One of `requirements`, `pyproject` and `lock` says what is in it. `kind`: *overlay* lies over the site's own
    packages and holds what differs, *isolated* holds all.
    """

    model_config = ConfigDict(title="[environment]")
    requirements: Annotated[
        RelativePath | None,
        _said("A requirements file; it is locked when the environment is built.", "requirements.txt"),
    ] = None
    pyproject: Annotated[
        RelativePath | None, _said("A pyproject.toml whose dependencies are meant.", "pyproject.toml")
    ] = None
    lock: Annotated[RelativePath | None, _said("A lock file, installed as it stands.", "requirements.lock")] = None
    kind: Annotated[
        Literal["overlay", "isolated"],
        _said("overlay: over the site's own packages, what differs; isolated: an environment that holds all."),
    ] = "overlay"
    python: Annotated[
        str | None,
        _said("The version of Python, of an isolated environment.", "3.12", pattern=r"^3\.\d{1,2}(\.\d{1,2})?$"),
    ] = None

    @property
    def source(self) -> str | None:
        """The file that says what is in it; None: the site's own environment."""
        return self.requirements or self.pyproject or self.lock

    @model_validator(mode="after")
    def _one_source(self) -> EnvironmentTable:
        named = [name for name in ("requirements", "pyproject", "lock") if getattr(self, name)]
        if len(named) > 1:
            raise ValueError(f"{' and '.join(named)} both say what is in the environment; keep one of them")
        if self.python and self.kind == "overlay":
            raise ValueError('an overlay has the Python of the site; take kind = "isolated" for another one')
        return self


class NamedEnvironmentTable(EnvironmentTable):
    """Another environment, for the stages that name it: `environment = "NAME"`."""

    model_config = ConfigDict(title="[environments.NAME]")

    @model_validator(mode="after")
    def _some_source(self) -> NamedEnvironmentTable:
        if self.source is None:
            raise ValueError("it says nothing of what is in it; name its requirements, pyproject or lock")
        return self


class KernelTable(_Table):
    """How the project's kernels start, and what they may use."""

    model_config = ConfigDict(title="[kernel]")
    preload: Annotated[
        list[ModuleName] | None,
        _said(
            "Modules that a kernel has imported when it starts. Absent: those that most notebooks import, of which "
            "what is not installed is left out. Empty: kernels start ordinarily.",
            ["pandas", "sklearn"],
        ),
    ] = None
    memory: Annotated[Bytes | None, _said("Memory that one kernel may use.", "4 GiB")] = None
    cpus: Annotated[float | None, _said("Processors that one kernel may use.", 2, gt=0, le=4096)] = None
    pass_environment: Annotated[
        list[Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*\*?$")]],
        _said("Variables that kernels get from the Jupyter server although they look like secrets.", ["AWS_*"]),
    ] = []
    languages: Annotated[
        list[Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,100}$")]],
        _said("Kernels of other languages, by the names of `jupyter kernelspec list`.", ["ir"]),
    ] = []


class SnapshotTable(_Table):
    """Which files are the project's code: what runs is a copy of them."""

    model_config = ConfigDict(title="[snapshot]")
    include: Annotated[
        list[str],
        _said("Patterns of more files; notebooks, Python, TOML, SQL, JSON and YAML are code already.", ["sql/*.txt"]),
    ] = []


class StageTable(_Table):
    """A notebook that runs in a clean kernel, with parameters, inputs and outputs."""

    model_config = ConfigDict(title="[stages.NAME]")
    notebook: Annotated[RelativePath, _said("The notebook.", "01-prepare.ipynb")]
    params: Annotated[
        Parameters, _said("Values for the cell that is tagged `parameters`.", {"months": [1, 2, 3], "seed": 7})
    ] = {}
    inputs: Annotated[
        list[RelativePath],
        _said("Files that it reads: data of the project, or outputs of other stages.", ["data/flights.csv"]),
    ] = []
    outputs: Annotated[
        list[RelativePath], _said("Files that it writes; stages that read them run after it.", ["build/model.json"])
    ] = []
    after: Annotated[
        list[str], _said("Stages that have to run before, beyond those whose outputs it reads.", ["prepare"])
    ] = []
    cluster: Annotated[str | None, _said("The Dask cluster that it runs on; it has to run.", "local")] = None
    environment: Annotated[
        str | None,
        _said(
            "The environment that it runs in, by its name in [environments]; site: the site's own packages. Absent: "
            "the project's.",
            "training",
        ),
    ] = None
    timeout: Annotated[Duration | None, _said("The longest that it may take.", "30m")] = None
    cell_timeout: Annotated[Duration | None, _said("The longest that one cell may take.", "10m")] = None
    retries: Annotated[int, _said("How often it is tried again.", 2, ge=0, le=20)] = 0
    retry_on: Annotated[
        list[Literal["kernel_died", "lost", "timed_out", "failed"]],
        _said(
            "After which endings it is tried again: those of the machine, unless told otherwise; `failed` is an error "
            "in the code.",
            ["kernel_died", "lost", "timed_out"],
        ),
    ] = ["kernel_died", "lost"]
    retry_delay: Annotated[Duration, _said("The wait before the first repetition; it doubles with each.", "10s")] = (
        "10s"
    )
    cache: Annotated[
        Literal["key", "never", "always"] | Duration,
        _said(
            "When its result is taken from the cache: key, when all is as it was; a duration, when it is also younger "
            "than that; never; always, whatever has changed since.",
            "24h",
        ),
    ] = "key"
    pool: Annotated[
        str | None,
        _said("The pool of the site whose limit it counts towards.", "gpu", pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$"),
    ] = None
    sweep: Annotated[
        bool, _said("Whether each parameter that is a list stands for its values: a run for each combination.")
    ] = False


class RetentionTable(_Table):
    """How long runs and verifications are kept, and results that none of them uses. Absent: for ever."""

    model_config = ConfigDict(title="[retention]")
    runs: Annotated[int | None, _said("So many of the newest runs are kept, and what they use.", 500, ge=1)] = None
    days: Annotated[
        float | None, _said("Runs, and results that nobody uses, are kept so many days.", 90, gt=0, le=36_600)
    ] = None


class Manifest(_Table):
    """A project of Himalia."""

    model_config = ConfigDict(title="himalia.toml")
    project: Annotated[ProjectTable, _said("What the project is called and what it is about.")]
    environment: Annotated[EnvironmentTable, _said("The packages that its code finds.")] = EnvironmentTable()
    environments: Annotated[
        dict[StageName, NamedEnvironmentTable], _said("Further environments by name, for stages that need other ones.")
    ] = {}
    kernel: Annotated[KernelTable, _said("How its kernels start, and what they may use.")] = KernelTable()
    snapshot: Annotated[SnapshotTable, _said("Which files are its code.")] = SnapshotTable()
    retention: Annotated[RetentionTable, _said("How long its runs are kept.")] = RetentionTable()
    stages: Annotated[dict[StageName, StageTable], _said("Its pipeline: notebooks by name.")] = {}

    def environment_table(self, name: str | None) -> EnvironmentTable | None:
        """The table of the environment *name* (None: the project's own); None when there is none of that name."""
        return self.environment if name is None else EnvironmentTable() if name == SITE else self.environments.get(name)


TABLES: dict[str, type[BaseModel]] = {
    "project": ProjectTable,
    "environment": EnvironmentTable,
    "environments": NamedEnvironmentTable,
    "kernel": KernelTable,
    "snapshot": SnapshotTable,
    "retention": RetentionTable,
    "stages": StageTable,
}
NAMED = {"environments", "stages"}
"""Tables that hold tables by name."""


def table_at(path: tuple[str, ...] | list[str]) -> type[BaseModel] | None:
    """The model of the table at *path*, as in `("stages", "train")`; None when it holds anything, or is none."""
    if not path:
        return Manifest
    return TABLES.get(path[0]) if len(path) == (2 if path[0] in NAMED else 1) else None

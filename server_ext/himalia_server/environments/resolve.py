"""From a source to a lock: what is asked for becomes exact versions with hashes, for all machines alike."""

from __future__ import annotations

from pathlib import Path

from .faults import Fault
from .lock import Lock, LockFault, make_lock, parse_lock, parse_pylock
from .source import Source
from .uv import BuildFault, Uv, say
from .uv_lock import differences

KERNEL = "ipykernel>=6.29"
"""What an isolated environment needs so that kernels start in it."""


def resolve(
    uv: Uv,
    project: Path,
    place: Path,
    source: Source,
    python: tuple[str, str],
    site: dict[str, str],
    before: Lock | None,
) -> Lock:
    """The lock of *source*, for the interpreter *python* (path and version).

    Versions stay as they are where the source lets them: first those of the *site* (by name), then those of the lock
    *before*. *place*: a folder for what is needed meanwhile.

    Raises:
        BuildFault: uv finds none. LockFault: what it found cannot be kept.
    """
    given = _given(uv, project, place, source)
    earlier = {entry.name: entry.version for entry in before.entries if not entry.direct} if before else {}
    pins = earlier | site
    if given is None:
        inputs = [str(project / source.path)]
        if not source.overlay:
            inputs.append(_kernel(place))
        found = _compile(uv, place, inputs, python, pins)
    elif source.overlay or "ipykernel" in given.names:
        found = given
    else:
        constraints = place / "constraints.txt"
        constraints.write_text("".join(f"{entry.requirement}\n" for entry in given.entries))
        found = given.plus(_compile(uv, place, [_kernel(place), "-c", str(constraints)], python, {}).entries, None)
        say("ipykernel and what it needs were added to what the lock names: kernels need it.")
    if given is None and not source.overlay:
        say("ipykernel is in the environment whether or not it is asked for: kernels need it.")
    return make_lock(found.entries, source.digest)


def _given(uv: Uv, project: Path, place: Path, source: Source) -> Lock | None:
    """The lock that the source is, or has beside it; None when there is none."""
    beside = Path(source.path).with_name("uv.lock").as_posix()
    if source.form == "requirements" or (source.form == "pyproject" and beside not in source.files):
        return None
    path = project / source.path
    try:
        if source.form == "pyproject" or path.name == "uv.lock":
            _require_fresh(path.parent, source)
            say(f"{beside} says what is in the environment.")
            target = place / "exported.txt"
            uv(
                "export", "--frozen", "--no-dev", "--no-emit-project", "--no-annotate", "--no-header", "--quiet",
                "--format", "requirements.txt", "--project", str(path.parent), "--output-file", str(target),
            )  # fmt: skip
            return parse_lock(target.read_text("utf-8"))
        text = path.read_text("utf-8")
        return parse_pylock(text) if path.suffix == ".toml" else parse_lock(text)
    except LockFault as error:
        name = beside if source.form == "pyproject" else source.path
        raise BuildFault(Fault(f"{name} cannot be used as a lock: {error}.")) from error


def _require_fresh(folder: Path, source: Source) -> None:
    """Refuse the uv.lock in *folder* when its pyproject.toml has changed since.

    Raises:
        BuildFault: it has; the environment would not hold what the project asks for.
    """
    found = differences(*((folder / name).read_text("utf-8") for name in ("pyproject.toml", "uv.lock")))
    if not found:
        return
    what = ", ".join(f"{name} {now}" for name, now in sorted(found.items())[:5])
    more = f", and {len(found) - 5} more" if len(found) > 5 else ""
    instead = " Or remove uv.lock: pyproject.toml is locked by Himalia then." if source.form == "pyproject" else ""
    todo = f"Run `uv lock` in {folder}, then build again.{instead}"
    raise BuildFault(Fault(f"uv.lock is older than pyproject.toml: {what}{more}. {todo}", min(found)))


def _kernel(place: Path) -> str:
    file = place / "kernel.in"
    file.write_text(KERNEL + "\n")
    return str(file)


def _compile(uv: Uv, place: Path, inputs: list[str], python: tuple[str, str], pins: dict[str, str]) -> Lock:
    target = place / "resolved.txt"
    # what stands in the output file already is what uv keeps when it can
    target.write_text("".join(f"{name}=={version}\n" for name, version in sorted(pins.items())))
    uv(
        "pip", "compile", *inputs, "--universal", "--python", python[0],
        "--python-version", ".".join(python[1].split(".")[:2]), "--no-python-downloads", "--generate-hashes",
        "--no-annotate", "--no-header", "--no-emit-index-url", "--quiet", "--output-file", str(target),
    )  # fmt: skip
    return parse_lock(target.read_text("utf-8"))

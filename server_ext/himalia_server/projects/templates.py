"""Project templates: folders with a `template.toml`."""

from __future__ import annotations

import importlib.util
import re
import secrets
import shutil
import tomllib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import tomlkit

from ..service.problems import Invalid, NotFound, Unavailable, nearest

INSTALLED = Path(__file__).parents[1] / "_notebooks"
SOURCE = Path(__file__).parents[3] / "notebooks"


def notebooks_folder() -> Path:
    """Where templates and guides lie: in the installed package, or in the working tree."""
    return INSTALLED if INSTALLED.is_dir() else SOURCE


@dataclass(frozen=True)
class Template:
    """A template. `package`, `files`: data files to copy from the `data` folder of an installed package."""

    name: str
    title: str
    description: str
    folder: Path
    package: str | None
    files: tuple[str, ...]


def templates() -> dict[str, Template]:
    """All templates that come with Himalia, by name."""
    found = {}
    for manifest in sorted(notebooks_folder().glob("*/template.toml")):
        data = tomllib.loads(manifest.read_text())
        source = data.get("data", {})
        template = Template(
            data["name"],
            data["title"],
            data["description"],
            manifest.parent,
            source.get("package"),
            tuple(source.get("files", ())),
        )
        found[template.name] = template
    return found


def find_template(name: str) -> Template:
    """The template of that name.

    Raises:
        NotFound: there is none.
    """
    known = templates()
    if name not in known:
        raise NotFound(f"There is no template {name!r}.", hint=nearest(name, known), field="template")
    return known[name]


def missing(template: Template) -> str | None:
    """What a template needs that is not installed, and how to get it; None when nothing is."""
    try:
        _package_data(template)
    except Unavailable as problem:
        return f"{problem.detail} {problem.hint}"
    return None


def instantiate(template: Template, target: Path, name: str, mark: str | None = None) -> None:
    """Copy a template and its data to *target*, which appears whole or not at all; its manifest says *name*.

    With a *mark*, a target that bears it is left as it is: the same request has made it, and was interrupted before
    the site knew of it. The caller takes the mark away with `unmark`. One at a time.

    Raises:
        Invalid: the folder exists and is not empty.
        Unavailable: the package that holds the data is not installed.
    """
    _remove_drafts(target)
    if mark is not None and _mark_of(target).is_file() and _mark_of(target).read_text() == mark:
        return
    if target.exists() and any(target.iterdir()):
        raise Invalid(
            f"The folder {target} exists already and is not empty.",
            hint="Choose another folder, or make it a project as it is: leave the template out.",
            field="path",
        )
    data = _package_data(template)
    draft = target.with_name(f".{target.name[:40]}.{secrets.token_hex(6)}")
    try:
        ignored = shutil.ignore_patterns("template.toml", ".ipynb_checkpoints", "__pycache__", "build", "data")
        shutil.copytree(template.folder, draft, ignore=ignored)
        if data is not None:
            (draft / "data").mkdir()
            for file in template.files:
                shutil.copyfile(data / file, draft / "data" / file)
        _name(draft / "himalia.toml", name)
        if mark is not None:
            _mark_of(draft).parent.mkdir(exist_ok=True)
            _mark_of(draft).write_text(mark)
        if target.exists():
            target.rmdir()
        draft.replace(target)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise


def unmark(target: Path) -> None:
    """The site knows of it: a request that comes again is answered from the store."""
    file = _mark_of(target)
    file.unlink(missing_ok=True)
    with suppress(OSError):  # it holds something else by now
        file.parent.rmdir()


def _mark_of(folder: Path) -> Path:
    return folder / ".himalia" / "request"


def _remove_drafts(target: Path) -> None:
    """What a service that was killed has left of its copying."""
    begin = f".{target.name[:40]}."
    for path in target.parent.iterdir():
        if path.name.startswith(begin) and re.fullmatch("[0-9a-f]{12}", path.name.removeprefix(begin)):
            shutil.rmtree(path, ignore_errors=True)


def _name(manifest: Path, name: str) -> None:
    document = tomlkit.parse(manifest.read_text())
    document["project"]["name"] = name
    manifest.write_text(tomlkit.dumps(document))


def _package_data(template: Template) -> Path | None:
    """The folder with the template's data; None when it needs none.

    Raises:
        Unavailable: the package that holds the data is not installed.
    """
    if template.package is None:
        return None
    # found, not imported: the example's data package cannot be imported on a current Python
    spec = importlib.util.find_spec(template.package)
    if spec is None or not spec.submodule_search_locations:
        raise Unavailable(
            f"The template {template.name!r} needs the data in the package {template.package}, which is not installed.",
            hint="pip install 'himalia[demo]'",
        )
    return Path(spec.submodule_search_locations[0]) / "data"

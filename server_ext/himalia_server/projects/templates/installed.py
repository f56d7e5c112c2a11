"""Templates that come with Himalia: folders with a `template.toml`."""

from __future__ import annotations

import importlib.util
import shutil
import tomllib
from dataclasses import dataclass
from pathlib import Path

from ...service.problems import Unavailable
from ..making import Fill, Progress

INSTALLED = Path(__file__).parents[2] / "_notebooks"
SOURCE = Path(__file__).parents[4] / "notebooks"


def notebooks_folder() -> Path:
    """Where templates and guides lie: in the installed package, or in the working tree."""
    return INSTALLED if INSTALLED.is_dir() else SOURCE


@dataclass(frozen=True)
class Template:
    """A template. `package`, `files`: data files to copy from the `data` folder of an installed package. `problem`: why
    nothing can be made from it."""

    name: str
    title: str
    description: str
    folder: Path
    package: str | None
    files: tuple[str, ...]
    problem: str | None = None


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


def missing(template: Template) -> str | None:
    """What a template needs that is not installed, and how to get it; None when nothing is."""
    try:
        _package_data(template)
    except Unavailable as problem:
        return f"{problem.detail} {problem.hint}"
    return None


def copied(template: Template) -> Fill:
    """Fills a folder with a template and its data.

    The filling raises Unavailable when the package that holds the data is not installed.
    """

    def fill(folder: Path, _progress: Progress) -> None:
        data = _package_data(template)
        ignored = shutil.ignore_patterns("template.toml", ".git", ".ipynb_checkpoints", "__pycache__", "build")
        shutil.copytree(template.folder, folder, ignore=ignored)
        if data is not None:
            (folder / "data").mkdir(exist_ok=True)
            for file in template.files:
                shutil.copyfile(data / file, folder / "data" / file)

    return fill


def _package_data(template: Template) -> Path | None:
    """The folder with the template's data; None when it needs none.

    Raises:
        Unavailable: the package that holds the data is not installed.
    """
    if template.problem is not None:
        raise Unavailable(f"The template {template.name!r} cannot be used.", hint=template.problem)
    if template.package is None:
        return None
    # found, not imported (the name has no dots): the data package of the example cannot be imported on a current Python
    spec = importlib.util.find_spec(template.package)
    if spec is None or not spec.submodule_search_locations:
        raise Unavailable(
            f"The template {template.name!r} needs the data in the package {template.package}, which is not installed.",
            hint="pip install 'himalia[demo]'",
        )
    return Path(spec.submodule_search_locations[0]) / "data"

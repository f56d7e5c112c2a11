"""Modules that a folder makes importable, and which others they hide."""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

SUFFIXES = (".py", ".so", ".pyd")
SKIPPED = {"__pycache__"}


@dataclass(frozen=True)
class Shadow:
    """A module of a project that bears the name of another. `standard`: of the standard library's, which goes before;
    else of an installed package's, which it hides."""

    module: str
    standard: bool

    @property
    def sentence(self) -> str:
        """What happens, and what to do."""
        if self.standard:
            return (
                f"src/ has a module {self.module!r}, and so has Python's standard library: import {self.module} takes "
                "that one. Rename yours."
            )
        return (
            f"src/ has a module {self.module!r} that hides the installed package of that name, also from other "
            "packages that need it. Rename yours."
        )


def modules_in(paths: Iterable[str]) -> list[str]:
    """Names that files with these relative paths make importable, when their folder is on sys.path."""
    found = set()
    for path in map(PurePosixPath, paths):
        name = path.parts[0] if len(path.parts) > 1 else path.name.partition(".")[0]
        if path.suffix in SUFFIXES and name.isidentifier() and name != "__init__":
            found.add(name)
    return sorted(found)


def modules_of(folder: Path) -> list[str]:
    """Names that *folder* makes importable; none when it is not there."""
    if not folder.is_dir():
        return []
    # a name is enough: what lies deeper cannot change it
    paths = [path for path in folder.iterdir() if path.name not in SKIPPED and not path.name.startswith(".")]
    files = [path.name for path in paths if path.is_file()]
    packages = [f"{path.name}/x.py" for path in paths if path.is_dir() and any(path.rglob("*.py"))]
    return modules_in([*files, *packages])


def shadowed(src: Path, python: str | None = None) -> list[Shadow]:
    """Modules in the folder *src* that bear the name of one of the standard library, or of an installed package.

    *python*: the interpreter of the environment that is looked at; default: this one.
    """
    own = modules_of(src)
    installed = {name for place in _site_packages(python) for name in _installed(place)} if own else set()
    found = []
    for name in own:
        if name in sys.stdlib_module_names:
            found.append(Shadow(name, standard=True))
        elif name in installed:
            found.append(Shadow(name, standard=False))
    return found


def collisions(own: Sequence[str], components: Mapping[str, Sequence[str]]) -> list[str]:
    """Sentences on modules that several of a project's places have; the first on the path is the one imported.

    *own*: modules of the project's src/; *components*: those of each component, in the order of the path.
    """
    first = dict.fromkeys(own, "src/")
    told = []
    for component, modules in components.items():
        for module in modules:
            if module in first:
                told.append(
                    f"The module {module!r} is in {first[module]} and in {component}: import {module} takes the one "
                    f"of {first[module]}. Rename one, or leave out the component."
                )
            else:
                first[module] = component
    return told


def _site_packages(python: str | None) -> list[Path]:
    if python is None or python == sys.executable:
        return [Path(sysconfig.get_path(name)) for name in ("purelib", "platlib")]
    return sorted((Path(python).parent.parent / "lib").glob("python3*/site-packages"))


def _installed(place: Path) -> list[str]:
    if not place.is_dir():
        return []
    return modules_in(
        [
            path.name if path.is_file() else f"{path.name}/x.py"
            for path in place.iterdir()
            if path.name not in SKIPPED and not path.name.endswith((".dist-info", ".data", ".egg-info"))
        ]
    )

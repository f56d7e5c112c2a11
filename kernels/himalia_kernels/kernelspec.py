"""A project's kernelspec: what makes its kernel appear in JupyterLab, papermill and VS Code."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from himalia_kernels.files import write_whole
from himalia_kernels.icons import write_icons

PROVISIONER = "himalia"
NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
SLUG = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def write_kernelspec(
    directory: Path,
    name: str,
    display_name: str,
    python: Path | str,
    layer: Path,
    project: str,
    site_home: Path,
    pass_environment: Sequence[str] = (),
) -> Path:
    """Write ``<directory>/<name>/kernel.json``, whole or not at all, and its icons; return the kernelspec's folder.

    *directory* is one where Jupyter looks for kernels, *python* the interpreter of the project's environment,
    *layer* the folder that holds the package ``himalia``, *pass_environment* names (or patterns such as
    ``AWS_*``) of variables that are kept although they look like secrets. Raises ValueError for a name,
    project or path that cannot work.
    """
    launcher = layer / "himalia" / "kernel_main.py"
    _check(name, python, launcher, project)
    document = {
        "argv": [str(python), str(launcher), "-f", "{connection_file}"],
        "display_name": display_name,
        "language": "python",
        "interrupt_mode": "signal",
        "metadata": {
            "debugger": True,
            "supported_encryption": "curve",
            "kernel_provisioner": _provisioner(project, site_home, pass_environment),
        },
    }
    return _write(directory / name, document, project)


def write_language_kernelspec(
    directory: Path,
    name: str,
    original: Any,
    project: str,
    site_home: Path,
    pass_environment: Sequence[str] = (),
) -> Path:
    """A project's variant of another language's kernelspec, with the project's environment variables and folder.

    *original* is a ``jupyter_client.kernelspec.KernelSpec``, taken as it is now: it is written anew when the
    project's kernelspec is. Raises ValueError when it is started by a provisioner of its own, for a Python
    kernelspec, or for a name that cannot be.
    """
    if NAME.fullmatch(name) is None or SLUG.fullmatch(project) is None:
        raise ValueError(f"{name!r} and {project!r} do not fit a kernel's and a project's name")
    if not is_foreign(original):
        raise ValueError(f"{original.display_name} is a Python kernel, or one that another program starts")
    document = {
        # files beside the original stay where they are
        "argv": [part.replace("{resource_dir}", str(original.resource_dir)) for part in original.argv],
        "env": dict(original.env),
        "display_name": f"{project} ({original.display_name})",
        "language": original.language,
        "interrupt_mode": original.interrupt_mode,
        "metadata": {
            **original.metadata,
            "kernel_provisioner": _provisioner(project, site_home, pass_environment),
        },
    }
    return _write(directory / name, document, project, badge=_badge(original.language))


def is_foreign(original: Any) -> bool:
    """Whether a kernelspec is one of another language that can be started in a project."""
    provisioner = original.metadata.get("kernel_provisioner", {}).get("provisioner_name", "local-provisioner")
    return str(original.language).lower() != "python" and bool(provisioner == "local-provisioner")


def _provisioner(project: str, site_home: Path, pass_environment: Sequence[str]) -> dict[str, Any]:
    config: dict[str, Any] = {"project": project, "site": str(site_home)}
    if pass_environment:
        config["pass_environment"] = list(pass_environment)
    return {"provisioner_name": PROVISIONER, "config": config}


def _badge(language: str) -> str:
    return "".join(char for char in language.upper() if char.isascii() and char.isalnum())[:1]


def _write(folder: Path, document: dict[str, Any], project: str, badge: str = "") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    write_icons(folder, project, badge)
    text = json.dumps(document, indent=1) + "\n"
    file = folder / "kernel.json"
    if not file.is_file() or file.read_text("utf-8") != text:
        write_whole(file, text, mode=0o644)
    return folder


def language_name(name: str, kernel: str) -> str:
    """The name of a project's variant of the kernelspec *kernel*; *name* is of the project's own.

    The dot, which no project's name has, keeps it apart from the kernelspec of a project with a longer name.
    """
    return f"{name}.{kernel.lower()}"


def language_kernelspecs(directory: Path, name: str) -> list[str]:
    """Names of the variants that there are of the project's kernelspec *name*."""
    return sorted(path.name for path in directory.glob(f"{name}.*") if (path / "kernel.json").is_file())


def remove_kernelspec(directory: Path, name: str) -> bool:
    """Remove a kernelspec that :func:`write_kernelspec` wrote; False when there is none.

    Raises ValueError for a kernelspec of someone else.
    """
    if NAME.fullmatch(name) is None:
        raise ValueError(f"{name!r} is not a kernel name")
    folder = directory / name
    try:
        document = json.loads((folder / "kernel.json").read_text("utf-8"))
    except FileNotFoundError:
        return False
    metadata = document.get("metadata", {}) if isinstance(document, dict) else {}
    if metadata.get("kernel_provisioner", {}).get("provisioner_name") != PROVISIONER:
        raise ValueError(f"{folder} is not a kernelspec of Himalia; it was left as it is")
    shutil.rmtree(folder)
    return True


def _check(name: str, python: Path | str, launcher: Path, project: str) -> None:
    if NAME.fullmatch(name) is None:
        raise ValueError(f"a kernel name has lower-case letters, digits, '.', '_', '-'; {name!r} does not fit")
    if SLUG.fullmatch(project) is None:
        raise ValueError(f"{project!r} is not a project's slug")
    if not Path(python).is_absolute():
        raise ValueError(f"the interpreter must be an absolute path, not {str(python)!r}")
    if not launcher.is_absolute() or not launcher.is_file():
        raise ValueError(f"the layer has no launcher at {launcher}")

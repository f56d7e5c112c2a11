"""A project's kernelspec: what makes its kernel appear in JupyterLab, papermill and VS Code."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from himalia_kernels.files import write_whole

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
    """Write ``<directory>/<name>/kernel.json``, whole or not at all, and return the kernelspec's folder.

    *directory* is one where Jupyter looks for kernels, *python* the interpreter of the project's environment,
    *layer* the folder that holds the package ``himalia``, *pass_environment* names (or patterns such as
    ``AWS_*``) of variables that are kept although they look like secrets. Raises ValueError for a name,
    project or path that cannot work.
    """
    launcher = layer / "himalia" / "kernel_main.py"
    _check(name, python, launcher, project)
    config: dict[str, Any] = {"project": project, "site": str(site_home)}
    if pass_environment:
        config["pass_environment"] = list(pass_environment)
    document = {
        "argv": [str(python), str(launcher), "-f", "{connection_file}"],
        "display_name": display_name,
        "language": "python",
        "interrupt_mode": "signal",
        "metadata": {
            "debugger": True,
            "supported_encryption": "curve",
            "kernel_provisioner": {"provisioner_name": PROVISIONER, "config": config},
        },
    }
    folder = directory / name
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / "kernel.json", json.dumps(document, indent=1) + "\n", mode=0o644)
    return folder


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

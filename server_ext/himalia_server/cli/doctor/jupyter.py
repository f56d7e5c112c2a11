"""Jupyter's side: the two extensions, and the kernels of the projects."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from himalia import __version__

from ..output import several
from .finding import Place, Verdict, existing, trouble, well

EXTENSION = "himalia_server.extension"
LABEXTENSION = "himalia"
INSTALL = "pip install --force-reinstall --no-deps himalia, then start JupyterLab anew"


def server_extension(_place: Place) -> Verdict:
    """The Jupyter server of this environment loads Himalia."""
    from jupyter_core.paths import jupyter_config_path

    answer, where = None, None
    # the first folder of the path has the last word
    for folder in map(Path, jupyter_config_path()):
        files = (folder / "jupyter_server_config.json", *sorted((folder / "jupyter_server_config.d").glob("*.json")))
        for file in files:
            chosen = _json(file).get("ServerApp", {}).get("jpserver_extensions", {}).get(EXTENSION)
            if answer is None and chosen is not None:
                answer, where = bool(chosen), file
    if answer is None:
        return trouble("JupyterLab does not know Himalia's server extension: no configuration names it", INSTALL)
    if not answer:
        return trouble(
            f"the server extension is switched off in {where}", f"jupyter server extension enable --user {EXTENSION}"
        )
    return well(f"enabled in {where}")


def labextension(_place: Place) -> Verdict:
    """JupyterLab's side is installed, enabled, and of this version."""
    from jupyter_core.paths import jupyter_config_path, jupyter_path

    folder = next(
        (path for path in map(Path, jupyter_path("labextensions", LABEXTENSION)) if (path / "package.json").exists()),
        None,
    )
    if folder is None:
        return trouble("JupyterLab's side of Himalia is not installed in this environment", INSTALL)
    version = _json(folder / "package.json").get("version")
    if version != __version__:
        return trouble(
            f"JupyterLab's side of Himalia in {folder} is {version}, this is {__version__}",
            f"Remove {folder} when it is a left-over; else {INSTALL}",
        )
    for config in map(Path, jupyter_config_path()):
        file = config / "labconfig" / "page_config.json"
        disabled = _json(file).get("disabledExtensions", {})
        names = disabled if isinstance(disabled, list) else [name for name, off in disabled.items() if off]
        if LABEXTENSION in names:
            return trouble(
                f"JupyterLab's side of Himalia is switched off in {file}", "jupyter labextension enable himalia"
            )
    return well(f"{version} in {folder}")


def kernel_folder(_place: Place) -> Verdict:
    """Kernelspecs can be written."""
    from jupyter_core.paths import jupyter_data_dir

    kernels = Path(jupyter_data_dir()) / "kernels"
    above = existing(kernels)
    if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        return trouble(
            f"{kernels} cannot be written, so projects get no kernel",
            f"Make {above} writable, or set JUPYTER_DATA_DIR.",
        )
    return well(str(kernels))


def kernels(place: Place) -> Verdict | None:
    """The kernel of each project is there, with a Python that exists."""
    from jupyter_core.paths import jupyter_path

    if place.store is None:
        return None
    rows = place.store("SELECT slug, kernelspec FROM projects WHERE deleting IS NULL")
    lacking, dead = [], []
    for slug, name in rows:
        files = (Path(folder) / name / "kernel.json" for folder in jupyter_path("kernels"))
        argv = next((_json(file).get("argv") or [""] for file in files if file.exists()), None)
        if argv is None:
            lacking.append(str(slug))
        elif not os.access(str(argv[0]), os.X_OK):
            dead.append(f"{slug} ({argv[0]})")
    if dead:
        return trouble(
            f"the Python of these projects' kernels is gone: {', '.join(dead)}",
            "himalia down, then himalia up: the kernels then use the Python of the service.",
        )
    if lacking:
        return trouble(
            f"no kernel is installed for {', '.join(lacking)}", "himalia down, then himalia up: that writes them anew."
        )
    return well(f"{several(len(rows), 'project')} {'has' if len(rows) == 1 else 'have'} theirs")


def _json(file: Path) -> dict[str, Any]:
    """A configuration file of Jupyter's; what is absent or broken says nothing, as for Jupyter itself."""
    try:
        document = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}

"""Kernelspecs of projects: their Python, and the other languages that their manifest asks for."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import Any

from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel
from jupyter_core.paths import jupyter_data_dir

from himalia_kernels.kernelspec import (
    is_foreign,
    language_kernelspecs,
    language_name,
    remove_kernelspec,
    write_kernelspec,
    write_language_kernelspec,
)

from ...service.auth import Principal
from ...service.problems import nearest
from ...store import Project
from ..manifest import KernelTable, Manifest

log = logging.getLogger(__name__)
OURS = "himalia-"


def folder_of_specs() -> Path:
    """Where Jupyter looks for this account's kernelspecs."""
    return Path(jupyter_data_dir()) / "kernels"


def write_specs(project: Project, table: KernelTable, layer: Path, site_home: Path) -> None:
    """Write the project's kernelspecs as `[kernel]` of its manifest says, and remove those that are too many."""
    directory = folder_of_specs()
    # an environment that was moved or made anew elsewhere has taken its Python along
    python = project.python if os.access(project.python, os.X_OK) else sys.executable
    write_kernelspec(
        directory,
        name=project.kernelspec,
        display_name=project.slug,
        python=python,
        layer=layer,
        project=project.slug,
        site_home=site_home,
        pass_environment=table.pass_environment,
    )
    wanted = {language_name(project.kernelspec, name): name for name in table.languages}
    for name in language_kernelspecs(directory, project.kernelspec):
        if name not in wanted:
            remove_kernelspec(directory, name)
    found = foreign_specs() if wanted else {}
    for name, original in wanted.items():
        if original in found:
            write_language_kernelspec(directory, name, found[original], project.slug, site_home, table.pass_environment)
        else:
            remove_kernelspec(directory, name)


def remove_specs(project: Project) -> None:
    """Remove all kernelspecs of a project."""
    directory = folder_of_specs()
    for name in [project.kernelspec, *language_kernelspecs(directory, project.kernelspec)]:
        remove_kernelspec(directory, name)


def foreign_specs() -> dict[str, Any]:
    """Kernelspecs of other languages on this machine, by name."""
    manager = KernelSpecManager()
    found = {}
    for name in manager.find_kernel_specs():
        if name.startswith(OURS):
            continue
        try:
            spec = manager.get_kernel_spec(name)
            if is_foreign(spec):
                found[name] = spec
        except (NoSuchKernel, OSError, ValueError, TypeError, AttributeError) as error:
            log.info("the kernelspec %s cannot be read: %s", name, error)  # somebody else's, and broken
    return found


def language_problems(table: KernelTable) -> list[str]:
    """A sentence for each of `languages` that is no kernelspec of another language here."""
    if not table.languages:
        return []
    found = foreign_specs()
    return [
        f"No kernel {name!r} of another language is installed here. {nearest(name, found)} "
        "`jupyter kernelspec list` shows all."
        for name in table.languages
        if name not in found
    ]


def language_notices(_principal: Principal, _project: Project, manifest: Manifest) -> list[tuple[tuple[str, ...], str]]:
    """As `language_problems`, with the key of the manifest that each is about."""
    return [(("kernel", "languages"), sentence) for sentence in language_problems(manifest.kernel)]

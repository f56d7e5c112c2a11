"""`uses` in a project's himalia.toml, edited as a person would: comments and order stay."""

from __future__ import annotations

from pathlib import Path

from ..projects import Manifest, change_key


def split(use: str) -> tuple[str, str]:
    """Name and version of `project/component@version`."""
    name, _, version = use.partition("@")
    return name, version


def edit(folder: Path, name: str, version: str | None) -> None:
    """Have the manifest in *folder* use *name* in this *version*, or (None) no longer.

    Raises:
        ManifestFault: there is none, or it has a fault already. Conflict: it was changed by somebody else meanwhile,
            or cannot be written.
    """

    def change(manifest: Manifest) -> list[str] | None:
        uses = manifest.project.uses
        places = [place for place, use in enumerate(uses) if split(use)[0] == name]
        fresh = [use for use in uses if split(use)[0] != name]
        if version is not None:
            fresh.insert(places[0] if places else len(fresh), f"{name}@{version}")
        return fresh if fresh != uses else None

    change_key(folder, ["project", "uses"], change)

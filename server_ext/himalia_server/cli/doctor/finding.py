"""What a check looks at, and what it says."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ...service.identity import ProcessIdentity
from ...service.site import Settings, Site

if TYPE_CHECKING:
    from ...service.lifecycle import Found
    from .store import Store


@dataclass(frozen=True)
class Finding:
    """One check. `hint`: what to do when it is not ok."""

    check: str
    ok: bool
    detail: str
    hint: str | None = None


class Verdict(NamedTuple):
    """What a check came to."""

    ok: bool
    detail: str
    hint: str | None = None


def well(detail: str) -> Verdict:
    """Nothing is wrong."""
    return Verdict(True, detail)


def trouble(detail: str, hint: str) -> Verdict:
    """Something is wrong. *hint*: what to do, with the command where there is one."""
    return Verdict(False, detail, hint)


@dataclass
class Place:
    """The installation that is looked at. Earlier checks fill in what later ones build on; those say nothing when it
    is missing, because the cause has been named then."""

    home: Path
    site: Site | None = None
    settings: Settings | None = None
    store: Store | None = None
    found: Found | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    """What the running service said of itself."""

    def state(self) -> dict[str, Any] | None:
        """What the service wrote about itself when it started; None when there is nothing (readable)."""
        try:
            document = json.loads((self.home / "service.json").read_text())
        except (OSError, ValueError):
            return None
        return document if isinstance(document, dict) else None

    def process(self) -> ProcessIdentity | None:
        """The service's process, when it lives."""
        try:
            identity = ProcessIdentity.from_dict(self.state() or {})
        except (KeyError, TypeError, ValueError):
            return None
        return identity if identity.alive() else None

    def children(self) -> list[str]:
        """Names of living processes that this site's service, or one before it, has started."""
        living = []
        for file in sorted((self.home / "children").glob("[!.]*/supervisor.json")):
            try:
                identity = ProcessIdentity.from_dict(json.loads(file.read_text()))
            except (OSError, ValueError, KeyError, TypeError):
                continue
            if identity.alive():
                living.append(file.parent.name)
        return living


def existing(path: Path) -> Path:
    """*path*, or the nearest folder above it that exists."""
    return next(folder for folder in (path, *path.parents) if folder.exists())

"""The guides that come with Himalia: each person works in a copy, in a project that is made for it."""

from __future__ import annotations

import json
import logging
import re
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from ..service.auth import Principal, authorize
from ..service.problems import Conflict, Forbidden, Invalid, NotFound, nearest
from ..store import Project
from .folders import resolved
from .manifest import NAME
from .models import GuideCopy
from .templates import notebooks_folder

if TYPE_CHECKING:
    from .manager import Projects

log = logging.getLogger(__name__)

PROJECT = "himalia-guide"
"""The project of the guides; the first one that is opened makes it."""
MANIFEST = f"""\
[project]
name = "{PROJECT}"
description = "Where the guides from the Help menu are tried out."
"""


_making = threading.Lock()
"""Two windows that open a guide at once make one project."""


@dataclass(frozen=True)
class Guide:
    """A guide as it is installed; never opened there. `title`: the notebook's first heading."""

    name: str
    title: str
    file: Path


def guides() -> dict[str, Guide]:
    """All guides that come with Himalia, by name."""
    files = sorted((notebooks_folder() / "guide").glob("*.ipynb"))
    return {file.stem: Guide(file.stem, _title(file), file) for file in files}


def find_guide(name: str) -> Guide:
    """The guide of that name.

    Raises:
        NotFound: there is none.
    """
    known = guides()
    if name not in known:
        raise NotFound(f"There is no guide {name!r}.", hint=nearest(name, known), field="name")
    return known[name]


def open_guide(projects: Projects, principal: Principal, name: str, below: str | None) -> GuideCopy:
    """The caller's own copy of a guide, made when it is not there; what is there is left as it is.

    *below*: an absolute folder that the caller can see, where the project is put unless its usual place is visible.

    Raises:
        NotFound, Forbidden, Invalid, Conflict: see the texts.
        OSError: the copy cannot be written.
    """
    guide = find_guide(name)
    if principal.purpose != "user":
        raise Forbidden(
            "A guide is opened by the account that owns the site, not by a kernel, a stage or a guest of its Jupyter "
            "server.",
            hint="Use your own JupyterLab; as a guest, open a project that somebody has shared with you.",
        )
    project = _project(projects, principal, below)
    target = Path(project.path) / guide.file.name
    created = put_copy(guide, target, project.kernelspec)
    view = projects.view(project, projects.role(principal, project))
    return GuideCopy(title=guide.title, project=view, notebook=str(target), created=created)


def put_copy(guide: Guide, target: Path, kernelspec: str) -> bool:
    """Write a guide's notebook for the kernel *kernelspec*; False when *target* exists, which is never changed.

    Raises:
        Invalid: it cannot be written there.
    """
    document = json.loads(guide.file.read_text("utf-8"))
    document["metadata"]["kernelspec"] = {"display_name": PROJECT, "language": "python", "name": kernelspec}
    try:
        file = target.open("x", encoding="utf-8")
    except FileExistsError:
        return False
    except OSError as error:
        raise Invalid(
            f"The guide cannot be written to {target}: {error.strerror}.",
            hint="Look at the rights of the folder, or move it back if you have moved it.",
        ) from error
    try:
        with file:
            file.write(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    except BaseException:
        target.unlink(missing_ok=True)  # half a notebook would be taken for the reader's own from then on
        raise
    return True


def _project(projects: Projects, principal: Principal, below: str | None) -> Project:
    """The project of the guides; made when there is none."""
    with _making:
        if not _exists(projects):
            _make(projects, principal, below)
    return authorize(projects.context, principal, PROJECT, "kernel.start", persons_only=True)


def _exists(projects: Projects) -> bool:
    with projects.context.database.read() as session:
        return session.scalar(select(Project.id).where(Project.slug == PROJECT)) is not None


def _make(projects: Projects, principal: Principal, below: str | None) -> None:
    """Make the project where the caller sees it, else in its usual place. A folder of an earlier one goes on."""
    usual = projects.folder(PROJECT, None)
    if below is not None and not usual.is_relative_to(resolved(below)):
        try:
            _make_in(projects, principal, projects.folder(PROJECT, f"{below}/{PROJECT}"))
            return
        except (Conflict, Invalid):  # read-only, say, or inside of another project
            log.info("the guide cannot be put into the folder that is shown", exc_info=True)
    _make_in(projects, principal, usual)


def _make_in(projects: Projects, principal: Principal, folder: Path) -> None:
    made = not (folder / NAME).exists()
    if made:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if any(folder.iterdir()):
                raise Invalid(
                    f"The folder {folder} is not empty and is not the guide's.",
                    hint="Rename that folder, then open the guide again.",
                )
            (folder / NAME).write_text(MANIFEST, encoding="utf-8")
        except OSError as error:
            raise Invalid(f"The folder of the guide, {folder}, cannot be made: {error.strerror}.") from error
    try:
        projects.create(principal, PROJECT, None, str(folder))
    except BaseException:
        if made:
            (folder / NAME).unlink(missing_ok=True)
            folder.rmdir()
        raise


def _title(file: Path) -> str:
    cells: list[dict[str, Any]] = json.loads(file.read_text("utf-8"))["cells"]
    heading = re.search(r"^# (.+)$", "".join(cells[0]["source"]), re.MULTILINE)
    return heading[1].strip() if heading else file.stem

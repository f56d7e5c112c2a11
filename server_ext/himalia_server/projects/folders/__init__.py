"""Folders of projects: how they are called, where they may be, and how a renamed or moved one is found again."""

from .locating import Locating
from .marker import Mark, read_mark, try_mark, unmark
from .names import free_name, name_of_source, name_problem, require_name, sluggified
from .places import Places, refuse_foreign, resolved

__all__ = [
    "Locating",
    "Mark",
    "Places",
    "free_name",
    "name_of_source",
    "name_problem",
    "read_mark",
    "refuse_foreign",
    "require_name",
    "resolved",
    "sluggified",
    "try_mark",
    "unmark",
]

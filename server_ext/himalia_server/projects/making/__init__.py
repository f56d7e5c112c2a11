"""New projects: a folder is filled aside, from a repository, an archive or another project, and appears whole.

`drafts` makes, what fills is a `Fill` (see `filling`); `archive` and `transfers` are a project as one file, both ways.
"""

from .archive import ENDING, read_index, unpacked
from .contents import DATA_BYTES, copied_from
from .drafts import Making, require_person
from .filling import Fill, Progress
from .git import clone
from .transfers import Transfers

__all__ = [
    "DATA_BYTES",
    "ENDING",
    "Fill",
    "Making",
    "Progress",
    "Transfers",
    "clone",
    "copied_from",
    "read_index",
    "require_person",
    "unpacked",
]

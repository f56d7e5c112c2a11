"""The key of a stage: all that decides what it makes, part by part, and what has changed between two of them.

Knows files and digests only; neither store nor service.
"""

from .code import Code, CodeReader, NotebookUnfit
from .modules import imported, local_modules
from .packages import PackagesReader
from .parts import ENGINE, Change, Parts, explain

__all__ = [
    "ENGINE",
    "Change",
    "Code",
    "CodeReader",
    "NotebookUnfit",
    "PackagesReader",
    "Parts",
    "explain",
    "imported",
    "local_modules",
]

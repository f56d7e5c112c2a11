"""Likely causes of a difference, from the notebook's code, its execution counts and what was observed."""

from .cells import CellCode, read_cell, slice_of
from .finding import Cause, Observation, find_causes, needs_second_run, read_cells, unsteady_cells

__all__ = [
    "Cause",
    "CellCode",
    "Observation",
    "find_causes",
    "needs_second_run",
    "read_cell",
    "read_cells",
    "slice_of",
    "unsteady_cells",
]

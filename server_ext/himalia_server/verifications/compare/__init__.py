"""Outputs of a notebook compared with those of its clean execution. Plain: documents in, a comparison out."""

from .declared import DeclarationFault, declared, tags
from .notebooks import code_cells, compare_notebooks, has_saved_outputs
from .results import CellComparison, Difference, NotebookComparison, Status, Tolerance, Verdict, failing
from .rules import RULES, Rule

__all__ = [
    "RULES",
    "CellComparison",
    "DeclarationFault",
    "Difference",
    "NotebookComparison",
    "Rule",
    "Status",
    "Tolerance",
    "Verdict",
    "code_cells",
    "compare_notebooks",
    "declared",
    "failing",
    "has_saved_outputs",
    "tags",
]

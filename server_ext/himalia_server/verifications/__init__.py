"""Verifications: a notebook executed again in a clean kernel, and compared cell by cell with what it shows.

From the ground up: `compare` (outputs by kind, what is volatile), `causes` (why a cell differs), `inputs` (what a
notebook reads), `judging` (the verdict, and what is kept of it), `following` (the runs), `constructed` (what stages
vouch for). `manager.Verifications` holds them together.
"""

from .manager import Verifications
from .routes import router

__all__ = ["Verifications", "router"]

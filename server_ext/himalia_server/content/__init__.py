"""Snapshots: code and data addressed by content."""

from .collecting import Collected, CollectRefused, holding
from .digests import Digests
from .files import DRAFT, digest_of, open_plain
from .names import Cancelled, FileEntry, MissingContent, UnfitContent, as_tree, is_tree
from .restoring import Linked
from .store import DIGESTS, ContentStore

__all__ = [
    "DIGESTS",
    "DRAFT",
    "Cancelled",
    "CollectRefused",
    "Collected",
    "ContentStore",
    "Digests",
    "FileEntry",
    "Linked",
    "MissingContent",
    "UnfitContent",
    "as_tree",
    "digest_of",
    "holding",
    "is_tree",
    "open_plain",
]

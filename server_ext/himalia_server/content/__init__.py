"""Snapshots: code and data addressed by content."""

from .store import ContentStore, FileEntry, MissingContent, digest_of

__all__ = ["ContentStore", "FileEntry", "MissingContent", "digest_of"]

"""Archive, trash, restore, purge; and what a purge would take away."""

from .lifecycle import DAY, TRASH_DAYS, Lifecycle
from .models import Removal
from .removal import removal_of

__all__ = ["DAY", "TRASH_DAYS", "Lifecycle", "Removal", "removal_of"]

"""Notifications: who is told when a schedule fails for the first time, and when it works again.

From the ground up: `addresses` (where a webhook may go), `sending` (one message), `telling` (its words), `outbox` (that
it arrives, whatever is killed). `manager.Notifications` holds them together.
"""

from .manager import Notifications
from .routes import router

__all__ = ["Notifications", "router"]

"""Schedules: pipelines and notebooks that run by the clock, each slot once.

From the ground up: `cron` and `zones` (what is written), `occurrences` (when it is due, across changes of clocks),
`policy` (what becomes of what is due), `due` and `clock` (that it is decided once, whatever is killed and whenever).
`manager.Schedules` holds them together.
"""

from .history import tidy
from .manager import Schedules
from .models import ScheduleView
from .routes import router

__all__ = ["ScheduleView", "Schedules", "router", "tidy"]

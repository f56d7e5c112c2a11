"""Runs that go on: a thread for each run (`drivers`, `driver`), one for each stage that runs (`job`).

The truth is in the store and on the disk (`recorder` puts it down), so that another service can go on with it.
"""

from .drivers import Drivers
from .rooms import Rooms, child_name, token_file
from .state import Fresh
from .workspace import LAYOUT

__all__ = ["LAYOUT", "Drivers", "Fresh", "Rooms", "child_name", "token_file"]

"""Runs that go on: one thread drives a run (`driver`), one each stage that runs (`job`); `recorder` puts it down.

The truth is in the store and on the disk, so that another service can go on with it.
"""

from .driver import Driver
from .rooms import Rooms, child_name, token_file
from .workspace import LAYOUT

__all__ = ["LAYOUT", "Driver", "Rooms", "child_name", "token_file"]

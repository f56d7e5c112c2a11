"""Pipelines: notebooks as stages, executed by papermill in snapshots."""

from .manager import Pipelines
from .models import TERMINAL
from .routes import router

__all__ = ["TERMINAL", "Pipelines", "router"]

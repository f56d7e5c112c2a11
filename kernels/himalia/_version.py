"""The one place that holds Himalia's version."""

__version__ = "0.1.0"

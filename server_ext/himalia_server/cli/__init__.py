"""The command line: `himalia <noun> <verb>`."""

from .main import main

__all__ = ["main"]

"""The control plane of Himalia: service, rooms, gateway, command line."""

from himalia._version import __version__

__all__ = ["__version__"]

"""Secrets of projects: set once, never shown again, given to kernels and stages as environment variables."""

from .manager import Vault
from .routes import router

__all__ = ["Vault", "router"]

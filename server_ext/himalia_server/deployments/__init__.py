"""Deployments: stable endpoints; the gateway answers predictions on its own."""

from .manager import Deployments
from .routes import router

__all__ = ["Deployments", "router"]

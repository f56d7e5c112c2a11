"""Roles, and the table of what each may do."""

from .roles import PROJECT_ACTIONS, SITE_ACTIONS, Role, SiteRole, ceiling, may, weakest

__all__ = ["PROJECT_ACTIONS", "SITE_ACTIONS", "Role", "SiteRole", "ceiling", "may", "weakest"]

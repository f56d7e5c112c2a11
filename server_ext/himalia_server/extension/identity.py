"""Whom a request to the service is made for."""

from __future__ import annotations

import getpass
import os
import re

from jupyter_server.auth import IdentityProvider, User
from jupyter_server.auth.identity import PasswordIdentityProvider
from tornado import web

HEADER = "X-Himalia-User"
"""Tells the service that the request is another person's than the site's owner's. Never taken from a browser."""
_ANONYMOUS = (IdentityProvider, PasswordIdentityProvider)
"""Jupyter's own: whoever has the token or the password is the OS account, under a made-up name."""
_NAME = re.compile(r"[!-.0-9;-~]{1,128}")
"""What the service takes as a person's name, of what a header can hold."""


def owner() -> str:
    """Who this Jupyter server belongs to: the Hub's user, or without a Hub the OS account.

    On a Hub the OS account's name says nothing: all servers may run as `jovyan`, and a user may be called that.
    """
    return os.environ.get("JUPYTERHUB_USER") or getpass.getuser()


def acting_for(provider: IdentityProvider, user: User) -> str | None:
    """The name of the person that *user* is, when that is another one than the server's owner; else None.

    Raises:
        web.HTTPError: 403, the name cannot be told to the service.
    """
    if type(provider) in _ANONYMOUS:  # exactly: a provider derived from them may know persons
        return None
    name = user.username
    if name == owner():
        return None
    if name == getpass.getuser():
        # to the service that name is the owner's
        raise web.HTTPError(403, f"The name {name} is this server's own account; Himalia cannot tell you apart.")
    if not _NAME.fullmatch(name):
        raise web.HTTPError(403, "Himalia needs a user name of visible ASCII characters without / and : (at most 128).")
    return name

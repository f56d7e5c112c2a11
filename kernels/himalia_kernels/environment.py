"""Which variables of the caller's environment a project's kernel gets."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

# Never passed, whatever a kernelspec allows: they open the server, the Hub or this site itself.
NEVER = (
    "HIMALIA_*",
    "JPY_API_TOKEN",
    "JPY_COOKIE_SECRET",
    "JUPYTERHUB_API_TOKEN",
    "JUPYTERHUB_CLIENT_ID",
    "JUPYTER_TOKEN",
    "JUPYTER_SERVER_*TOKEN",
    "CONFIGPROXY_AUTH_TOKEN",
)
# Passed only when the kernelspec's `pass_environment` names them.
WITHHELD = (
    "JUPYTERHUB_*",
    "AWS_*",
    "AZURE_*",
    "GCP_*",
    "GOOGLE_APPLICATION_CREDENTIALS",
    # where a process tracks, and as whom: the grant says it, and without a grant there is no place
    "MLFLOW_TRACKING_*",
    "MLFLOW_REGISTRY_URI",
    "MLFLOW_EXPERIMENT_*",
    "MLFLOW_RUN_ID",
    "MLFLOW_WORKSPACE",
)
SECRET = re.compile(
    r"(token|secret|passw(or)?d|passphrase|api_?key|(access|private|signing|encryption)_?key|credential)s?$",
    re.IGNORECASE,
)
# The agent signs with the user's keys. A person at a notebook may push with git; unattended stages may not.
ATTENDED_ONLY = ("SSH_AUTH_SOCK", "SSH_AGENT_PID")


def kernel_environment(
    environment: Mapping[str, str], allowed: Sequence[str] = (), attended: bool = True
) -> dict[str, str]:
    """The part of *environment* that a kernel may see.

    Withheld are the secrets of the server, the Hub and the cloud, and whatever is named like a secret;
    *allowed* (names, or patterns such as ``AWS_*``) lets through what is not in NEVER. What Jupyter itself
    needs (JPY_PARENT_PID, JPY_SESSION_NAME, PATH and so on) is kept. SSH_AUTH_SOCK is kept for an interactive
    kernel and dropped for a stage (*attended* false).
    """
    return {name: value for name, value in environment.items() if _passes(name, tuple(allowed), attended)}


def _passes(name: str, allowed: Sequence[str], attended: bool) -> bool:
    if matches(name, NEVER):
        return False
    if matches(name, allowed):
        return True
    if not attended and name in ATTENDED_ONLY:
        return False
    return not (matches(name, WITHHELD) or SECRET.search(name))


def matches(name: str, patterns: Sequence[str]) -> bool:
    """Whether *name* is one of *patterns*, case included."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)

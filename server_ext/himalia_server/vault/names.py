"""Which environment variables a secret may be."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase

LONGEST = 128
NAME = re.compile(rf"[A-Za-z_][A-Za-z0-9_]{{0,{LONGEST - 1}}}")
REFUSED: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Himalia itself says with it where a kernel belongs", ("HIMALIA_*",)),
    (
        "it says where runs are tracked, which Himalia sets for each project",
        ("MLFLOW_TRACKING*", "MLFLOW_REGISTRY_URI", "MLFLOW_EXPERIMENT*", "MLFLOW_RUN_ID", "MLFLOW_WORKSPACE"),
    ),
    (
        "it decides which programs and libraries are run",
        ("PATH", "PYTHON*", "LD_*", "DYLD_*", "BASH_ENV", "ENV", "IFS", "GCONV_PATH", "VIRTUAL_ENV", "CONDA_*"),
    ),
    ("Jupyter sets it", ("JPY_*", "JUPYTER*", "IPYTHONDIR", "IPY_*", "CONFIGPROXY_*")),
    (
        "it describes the account and the machine",
        ("HOME", "USER", "LOGNAME", "SHELL", "PWD", "TMPDIR", "TMP", "TEMP", "TERM", "LANG", "LC_*", "TZ", "XDG_*"),
    ),
)
"""Why, and which; patterns, whatever their case."""


def refusal(name: str) -> str | None:
    """Why *name* cannot be a secret's; None when it can."""
    if NAME.fullmatch(name) is None:
        return (
            f"{name[:80]!r} is no name of an environment variable: use letters, digits and _, at most {LONGEST}, and "
            "no digit first."
        )
    for why, patterns in REFUSED:
        if any(fnmatchcase(name.upper(), pattern) for pattern in patterns):
            return f"{name} cannot be a secret: {why}."
    return None

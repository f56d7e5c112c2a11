"""The site's folder, its settings and its runtime folder."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import stat
from pathlib import Path

from ...service.site import Site, SiteError
from ..output import size
from .finding import Place, Verdict, existing, trouble, well

RUNTIME_BYTES = 16 << 20
PRIVATE = ("site.json", "tokens", "tokens/user", "himalia.db", "mlflow.db", "service.json")
"""What must be closed to other accounts, besides the folder around it."""


def folder(place: Place) -> Verdict:
    """The folder is there, ours, and can be written; the site's identity can be read."""
    home = place.home
    if not home.exists() and not home.is_symlink():
        above = existing(home)
        if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
            return trouble(
                f"{home} cannot be made: {above} cannot be written", "Set HIMALIA_HOME to a folder of yours."
            )
        return well(f"none yet; the first command makes it in {home}")
    if not home.is_dir():
        return trouble(f"{home} is no folder", "Remove it, or set HIMALIA_HOME to a folder of yours.")
    owner = home.stat().st_uid
    if owner != os.getuid():
        return trouble(
            f"{home} belongs to {_name(owner)}, and this is {_name(os.getuid())}",
            f"Set HIMALIA_HOME to a folder of yours, or: sudo chown -R {_name(os.getuid())} '{home}'",
        )
    if not os.access(home, os.R_OK | os.W_OK | os.X_OK):
        return trouble(f"{home} cannot be written", f"chmod u+rwx '{home}', or mount its disk for writing.")
    return _identity(place)


def _identity(place: Place) -> Verdict:
    file = place.home / "site.json"
    try:
        data = json.loads(file.read_text())
        place.site = Site(place.home, str(data["id"]), str(data["secret"]))
    except FileNotFoundError:
        if (place.home / "himalia.db").exists():
            return trouble(
                f"{file} is gone, although there is a database: the site would get a new identity, and its kernels "
                "would not find it",
                "Put the file back, or restore a backup: himalia restore FILE --replace",
            )
        return well(f"none yet; the first command makes it in {place.home}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        return trouble(
            f"{file} cannot be read: {_why(error)}", "Restore it from a backup: himalia restore FILE --replace"
        )
    return well(f"{place.site.id} in {place.home}")


def _why(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return f"{error} is not in it" if isinstance(error, KeyError) else str(error)


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"the account number {uid}"


def permissions(place: Place) -> Verdict | None:
    """Nobody else can read tokens and databases."""
    if place.site is None:
        return None
    wide = [path for path in (place.home, *(place.home / name for name in PRIVATE)) if path.exists() and _open(path)]
    if wide:
        names = ", ".join(str(path) for path in wide)
        return trouble(
            f"open to other accounts: {names}; kernels refuse such a token, and others could act as you",
            "chmod -R go= " + " ".join(f"'{path}'" for path in wide),
        )
    return well("closed to other accounts")


def _open(path: Path) -> bool:
    return bool(path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO))


def settings(place: Place) -> Verdict | None:
    """settings.toml can be used."""
    if place.site is None:
        return None
    try:
        place.settings = place.site.settings()
    except SiteError as error:
        return trouble(str(error), f"Mend {place.home / 'settings.toml'}; without that file the defaults hold.")
    return well("settings.toml is read" if (place.home / "settings.toml").exists() else "the defaults")


def runtime(place: Place) -> Verdict | None:
    """The folder of sockets is there while something runs, and has room."""
    if place.site is None:
        return None
    path = place.site.runtime
    if not path.exists():
        if place.process() is None and not place.children():
            return well(f"{path}, made at the next start")
        return trouble(
            f"{path} is gone, and with it the sockets of MLflow, clusters and the gateway (a logout or a cleaner of "
            "temporary files removes such folders)",
            "himalia down, then himalia up. So that it stays: loginctl enable-linger, and himalia service install",
        )
    if path.stat().st_uid != os.getuid() or not os.access(path, os.W_OK | os.X_OK):
        return trouble(
            f"{path} cannot be used: it belongs to {_name(path.stat().st_uid)}",
            "Have it removed, or set XDG_RUNTIME_DIR to a folder of yours; then himalia down, himalia up.",
        )
    free = shutil.disk_usage(path).free
    if free < RUNTIME_BYTES:
        return trouble(f"{path} is full ({size(free)} free)", f"Free some space on the file system of {path}.")
    return well(f"{path}, {size(free)} free")

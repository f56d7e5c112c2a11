"""A site: one installation's folder, its identity and its settings."""

from __future__ import annotations

import json
import os
import secrets
import stat
import sys
import tempfile
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


class SiteError(RuntimeError):
    """The site's folder or settings cannot be used; the text says what to do."""


FOLDERS = ("logs", "tokens", "children", "content", "models", "runs", "clusters", "backups")
"""Of each site."""
SHORT = 40
"""Characters that a folder may have in which sockets of ours shall lie some levels down."""


def default_home() -> Path:
    """Where the site lives: `$HIMALIA_HOME`, else the user's data folder."""
    chosen = os.environ.get("HIMALIA_HOME")
    return Path(chosen).expanduser().absolute() if chosen else standard_home()


def standard_home() -> Path:
    """Where a site lives when nobody says otherwise."""
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "himalia"
    data = os.environ.get("XDG_DATA_HOME")
    return (Path(data) if data else Path.home() / ".local" / "share") / "himalia"


def cache_folder() -> Path:
    """Where things lie that can be made again at any time, shared by all sites of the user."""
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "himalia"
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "himalia"


def write_private(path: Path, text: str) -> None:
    """Replace *path* atomically with *text*, readable by its owner only (0600)."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def private_folder(path: Path) -> Path:
    """Make *path* a folder of ours that nobody else can enter (0700).

    Raises:
        SiteError: it belongs to somebody else.
    """
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        raise SiteError(f"{path} is not a folder of this user. Remove it, or set HIMALIA_HOME to another folder.")
    if status.st_mode & 0o077:
        path.chmod(0o700)
    return path


@dataclass(frozen=True)
class Settings:
    """`settings.toml` of a site. Ports are TCP ports on 127.0.0.1; 0 means any free one, kept from then on.

    `stages`: how many stages run at a time; 0: as many as there are processors. `pools`: slots of named pools.
    `database_url`: where the store is, when not in SQLite in the site's folder; may hold a password.
    `smtp_…`: the mail server for notifications; its security is "starttls", "tls" or "none", its port 0 the usual one.
    `address`: where people reach JupyterLab, for links in notifications.
    """

    service_port: int = 0
    gateway_port: int = 0
    log_megabytes: int = 10
    event_days: int = 7
    database_url: str | None = field(default=None, repr=False)
    stages: int = 0
    pools: dict[str, int] = field(default_factory=dict)
    smtp_host: str | None = None
    smtp_port: int = 0
    smtp_security: str = "starttls"
    smtp_user: str | None = None
    smtp_password: str | None = field(default=None, repr=False)
    smtp_from: str | None = None
    address: str | None = None


NUMBERS = {
    ("service", "port"): "service_port",
    ("gateway", "port"): "gateway_port",
    ("logs", "megabytes"): "log_megabytes",
    ("events", "days"): "event_days",
    ("pipelines", "stages"): "stages",
    ("smtp", "port"): "smtp_port",
}
TEXTS = {
    ("database", "url"): "database_url",
    ("smtp", "host"): "smtp_host",
    ("smtp", "security"): "smtp_security",
    ("smtp", "user"): "smtp_user",
    ("smtp", "password"): "smtp_password",
    ("smtp", "from"): "smtp_from",
    ("notifications", "address"): "address",
}
CHOICES = {("smtp", "security"): ("starttls", "tls", "none")}
DATABASE_VARIABLE = "HIMALIA_DATABASE_URL"
"""Goes before settings.toml: in containers a secret comes as a variable."""
SMTP_VARIABLE = "HIMALIA_SMTP_PASSWORD"
"""Likewise."""


@dataclass(frozen=True)
class Site:
    """Paths and identity of one site; cheap to make, holds no open file."""

    home: Path
    id: str
    secret: str

    @classmethod
    def open(cls, home: Path | None = None) -> Site:
        """The site at *home* (made when there is none).

        Raises:
            SiteError: the folder cannot be made or read.
        """
        folder = home or default_home()
        try:
            private_folder(folder)
            identity = folder / "site.json"
            if not identity.exists():
                fresh = {"id": secrets.token_hex(4), "secret": secrets.token_hex(32)}
                _create_once(identity, json.dumps(fresh))
            data = json.loads(identity.read_text())
            site = cls(folder, str(data["id"]), str(data["secret"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise SiteError(
                f"The site folder {folder} cannot be used: {error}. Check its permissions and free space, or set "
                "HIMALIA_HOME to another folder."
            ) from error
        return site

    @classmethod
    def exists(cls, home: Path | None = None) -> bool:
        """Whether a site was made at *home* already."""
        return ((home or default_home()) / "site.json").exists()

    def prepare(self) -> None:
        """Make the folders of the site."""
        for name in FOLDERS:
            private_folder(self.home / name)
        try:
            runtime = private_folder(self.runtime)
        except SiteError:  # somebody else of this machine was there first; they must not stop us by that
            runtime = private_folder(self.runtime.with_name(f"himalia-{os.getuid()}-{self.id}-{secrets.token_hex(4)}"))
        if self.remembered().get("runtime") != str(runtime):
            self.remember(runtime=str(runtime))

    def folders_exist(self) -> bool:
        """Whether all that `prepare` makes is there."""
        return self.runtime.is_dir() and all((self.home / name).is_dir() for name in FOLDERS)

    @property
    def runtime(self) -> Path:
        """A private folder with a short path, for unix sockets (a path of theirs may have about 100 bytes).

        Chosen once and kept: children that outlive a service have their sockets there.
        """
        kept = self.remembered().get("runtime")
        # it is emptied at the end: nothing but what we chose ourselves, not even when a backup says so
        ours = (f"himalia-{self.id}", f"himalia-{os.getuid()}-{self.id}")
        if isinstance(kept, str) and Path(kept).name.startswith(ours) and Path(kept).parent.is_dir():
            return Path(kept)
        base = os.environ.get("XDG_RUNTIME_DIR")
        if base and Path(base).is_dir() and len(base) < SHORT:
            return Path(base) / f"himalia-{self.id}"
        temporary = tempfile.gettempdir()
        return Path(temporary if len(temporary) < SHORT else "/tmp") / f"himalia-{os.getuid()}-{self.id}"  # noqa: S108

    @property
    def zygotes(self) -> Path:
        """Where zygotes have their sockets, facts and logs."""
        return self.runtime / "zyg"

    @property
    def database(self) -> Path:
        """The site's SQLite database."""
        return self.home / "himalia.db"

    @property
    def tracking_database(self) -> Path:
        """MLflow's own SQLite database."""
        return self.home / "mlflow.db"

    @property
    def lock_file(self) -> Path:
        """Locked by the site's one service for as long as it lives."""
        return self.home / "service.lock"

    @property
    def state_file(self) -> Path:
        """Where the running service says who and where it is (0600)."""
        return self.home / "service.json"

    @property
    def user_token_file(self) -> Path:
        """The token of the OS account that owns the site (0600)."""
        return self.home / "tokens" / "user"

    @property
    def metrics_token_file(self) -> Path:
        """The token that a Prometheus server reads /metrics with (0600)."""
        return self.home / "tokens" / "metrics"

    def log(self, name: str) -> Path:
        """The log file of a child or of the service."""
        return self.home / "logs" / f"{name}.log"

    def settings(self) -> Settings:
        """Read `settings.toml`; absent means defaults.

        Raises:
            SiteError: it does not parse, or holds an unknown key or a bad value.
        """
        path = self.home / "settings.toml"
        data: dict[str, Any] = {}
        if path.exists():
            try:
                data = tomllib.loads(path.read_text())
            except (OSError, ValueError) as error:
                raise SiteError(f"{path} cannot be read: {error}.") from error
        values: dict[str, Any] = {}
        for section, entries in data.items():
            for key, value in (entries if isinstance(entries, dict) else {"": entries}).items():
                place = (section, key)
                if section == "pools":
                    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 10_000:
                        raise SiteError(f"{path}: [pools] {key} must be a number of slots, 1 or more.")
                    values.setdefault("pools", {})[key] = value
                elif place in NUMBERS:
                    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 65535:
                        raise SiteError(f"{path}: [{section}] {key} must be a whole number from 0 to 65535.")
                    values[NUMBERS[place]] = value
                elif place in TEXTS:
                    if not isinstance(value, str) or not value:
                        raise SiteError(f"{path}: [{section}] {key} must be a text.")
                    if place in CHOICES and value not in CHOICES[place]:
                        raise SiteError(f"{path}: [{section}] {key} must be one of {', '.join(CHOICES[place])}.")
                    values[TEXTS[place]] = value
                else:
                    allowed = ", ".join(f"[{s}] {k}" for s, k in NUMBERS | TEXTS)
                    raise SiteError(f"{path}: unknown setting [{section}] {key}. Known: {allowed}.")
        if os.environ.get(DATABASE_VARIABLE):
            values["database_url"] = os.environ[DATABASE_VARIABLE]
        if os.environ.get(SMTP_VARIABLE):
            values["smtp_password"] = os.environ[SMTP_VARIABLE]
        return Settings(**values)

    def remembered(self) -> dict[str, Any]:
        """Small facts kept from one start to the next: ports, the runtime folder."""
        path = self.home / "remembered.json"
        try:
            return dict(json.loads(path.read_text()))
        except (OSError, ValueError, TypeError):
            return {}  # nothing that could not be chosen anew

    def remember(self, **facts: Any) -> None:
        """Keep small facts for the next start."""
        write_private(self.home / "remembered.json", json.dumps(self.remembered() | facts))


def _create_once(path: Path, text: str) -> None:
    """Create *path* with *text* unless another process was first; never seen half written."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    write_private(temporary, text)
    try:
        os.link(temporary, path)
    except FileExistsError:
        pass  # another process made the site at the same moment: its identity is the site's
    finally:
        temporary.unlink()

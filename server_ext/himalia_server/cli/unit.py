"""`himalia service install | uninstall`: the service as a unit of systemd, so that it outlives logins and reboots."""

from __future__ import annotations

import getpass
import os
import re
import shlex
import sys
from pathlib import Path

import click

from ..service.site import DATABASE_VARIABLE, default_home
from .options import as_json
from .output import Failure, print_json

MARK = "# Written by: himalia service install"
KEPT = (
    *("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "VIRTUAL_ENV", "LD_LIBRARY_PATH"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "XDG_DATA_HOME", "XDG_CACHE_HOME"),
    *("JUPYTER_DATA_DIR", "JUPYTER_PATH", "JUPYTER_CONFIG_DIR", "JUPYTER_CONFIG_PATH"),
)
"""Variables that the service takes from here; a unit has none of the login's."""
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
TEMPLATE = """\
{mark}
[Unit]
Description=Himalia, site {home}

[Service]
Type=exec
ExecStart={command}
WorkingDirectory=/
{environment}
{user}# MLflow, clusters, stages and endpoints go on while the service is restarted, and are taken over
KillMode=process
TimeoutStopSec=90
Restart=on-failure
RestartSec=2
# it has said why it cannot start: trying again would not help
RestartPreventExitStatus=78
# a notebook that takes too much memory ends alone
OOMPolicy=continue
LimitNOFILE=65536
UMask=0077
NoNewPrivileges=yes
# no PrivateTmp, no ProtectHome: notebooks work in your folders, and clients find sockets in the runtime folder

[Install]
WantedBy={target}
"""

named = click.option("--name", default="himalia", show_default=True, help="Name of the unit, one for each site.")


@click.group()
def service() -> None:
    """Keep the service running, with systemd.

    It then goes on over logouts and reboots.
    """


@service.command()
@click.option("--system", is_flag=True, help="Print a unit for root to install, which runs as this account.")
@click.option("--force", is_flag=True, help="Replace a unit that says something else.")
@named
@as_json
def install(system: bool, force: bool, name: str, json_: bool) -> None:
    """Write a systemd unit for this site.

    It runs the service with this Python. systemd need not run here, and is not told yet.
    """
    _check(name)
    text = unit_text(default_home(), system=system)
    if os.environ.get(DATABASE_VARIABLE):
        click.echo(
            f"himalia: {DATABASE_VARIABLE} is not written into the unit, because it may hold a password. Put the url "
            f"under [database] into {default_home() / 'settings.toml'}.",
            err=True,
        )
    if system:
        click.echo(text, nl=False)
        click.echo(
            f"\nInstall it as root: himalia service install --system | sudo tee /etc/systemd/system/{name}.service\n"
            f"then: himalia down; sudo systemctl daemon-reload; sudo systemctl enable --now {name}",
            err=True,
        )
        return
    file = unit_file(name)
    old = _read(file)
    if old is not None and old != text and not force:
        whose = "it was written for another site or Python" if old.startswith(MARK) else "it is not Himalia's"
        raise Failure(f"{file} exists, and {whose}.", "Look at it; --force replaces it, --name NAME writes another.")
    steps = [
        "himalia down",
        "systemctl --user daemon-reload",
        f"systemctl --user enable --now {name}",
        "loginctl enable-linger",
    ]
    if old != text:
        _write(file, text)
    if json_:
        print_json({"file": str(file), "written": old != text, "next": steps})
        return
    click.echo(f"{file} {'is written' if old != text else 'is there already'}. Next:")
    notes = ("when the service runs already", "", "", "so that it also runs while you are not logged in")
    for step, note in zip(steps, notes, strict=True):
        click.echo(f"  {step:<40}{'# ' + note if note else ''}".rstrip())
    click.echo(f"After an upgrade of Himalia: systemctl --user restart {name}")


@service.command()
@click.option("--force", is_flag=True, help="Even when it was not written by Himalia.")
@named
@as_json
def uninstall(force: bool, name: str, json_: bool) -> None:
    """Remove the systemd unit of this account. The site stays as it is."""
    _check(name)
    file = unit_file(name)
    old = _read(file)
    if old is None:
        raise Failure(f"There is no {file}.", "himalia service install writes it.", code=4)
    if not old.startswith(MARK) and not force:
        raise Failure(f"{file} was not written by Himalia.", "Look at it; --force removes it all the same.")
    linked = [link for link in file.parent.glob("*.wants/" + file.name) if link.is_symlink()]
    for path in (*linked, file):
        path.unlink()
    if json_:
        print_json({"file": str(file), "removed": True})
        return
    click.echo(
        f"{file} is removed. Next:\n  systemctl --user daemon-reload\n  himalia down        # to end what still runs"
    )


def unit_file(name: str) -> Path:
    """Where systemd looks for units of this account."""
    config = os.environ.get("XDG_CONFIG_HOME")
    return (Path(config) if config else Path.home() / ".config") / "systemd" / "user" / f"{name}.service"


def unit_text(home: Path, *, system: bool = False) -> str:
    """The unit that runs the service of the site at *home* with this Python.

    Raises:
        Failure: a path or variable cannot be written into a unit.
    """
    variables = {name: os.environ[name] for name in KEPT if os.environ.get(name)}
    folder = str(Path(sys.executable).parent)
    variables["PATH"] = os.pathsep.join(dict.fromkeys([folder, *variables.get("PATH", os.defpath).split(os.pathsep)]))
    variables["HIMALIA_HOME"] = str(home)
    # the colon: dollars in paths are meant as they are
    words = [f":{sys.executable}", "-m", "himalia_server.service"]
    if re.search(r"[\\\"']", sys.executable):  # systemd takes no such program, but such arguments
        words = [":/usr/bin/env", sys.executable, *words[1:]]
    return TEMPLATE.format(
        mark=MARK,
        home=_plain(str(home)).replace("%", "%%"),
        command=" ".join(_quoted(word) for word in words),
        environment="\n".join(f"Environment={_quoted(f'{name}={value}')}" for name, value in sorted(variables.items())),
        user=f"User={_plain(getpass.getuser())}\n" if system else "",
        target="multi-user.target" if system else "default.target",
    )


def _quoted(word: str) -> str:
    """A word of a unit file: systemd takes backslashes, quotes and percent signs for its own."""
    text = _plain(word).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{text}"' if re.search(r"[^\w/.:=%@+,-]", text) else text


def _plain(text: str) -> str:
    if not text.isprintable():
        raise Failure(f"{text!r} cannot be written into a unit of systemd.", "Use a path without control characters.")
    return text


def _check(name: str) -> None:
    if sys.platform != "linux":
        raise Failure(
            "Units are for systemd, which only Linux has.",
            "himalia up starts the service for this login; launchd can run: "
            f"{shlex.join([sys.executable, '-m', 'himalia_server.service'])}",
        )
    if not NAME.fullmatch(name):
        raise Failure(f"{name!r} cannot be a unit's name.", "Use small letters, digits and -.", code=2)


def _read(file: Path) -> str | None:
    try:
        return file.read_text()
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise Failure(f"{file} cannot be read: {error}.") from error


def _write(file: Path, text: str) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary = file.with_name(f".{file.name}.new")
        temporary.write_text(text)
        temporary.replace(file)
    except OSError as error:
        raise Failure(
            f"{file} cannot be written: {error.strerror}.", "Set XDG_CONFIG_HOME to a folder of yours."
        ) from error

"""Accounts of the operating system for tests: one that the site runs as, and another one that attacks it."""

from __future__ import annotations

import os
import pwd
import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest

import himalia
from tests.system import may_sudo

REPOSITORY = Path(__file__).parents[2]
TOOLS = ("useradd", "userdel", "setpriv", "unshare")
SYSTEM_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


def require_accounts() -> None:
    """Skip the test where no account can be made; in CI that is a failure."""
    missing = [tool for tool in TOOLS if shutil.which(tool, path=SYSTEM_PATH) is None]
    if missing:
        _without(f"this needs {', '.join(missing)} (Linux)")
    if os.geteuid() != 0 and not may_sudo():
        _without("making accounts needs root, or sudo without a password; this account has neither")


def _without(reason: str) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def _privileged(command: list[str]) -> list[str]:
    return command if os.geteuid() == 0 else ["sudo", "--non-interactive", *command]


def _tool(name: str) -> str:
    found = shutil.which(name, path=SYSTEM_PATH)
    assert found is not None
    return found


@contextmanager
def account(name: str) -> Iterator[pwd.struct_passwd]:
    """A new account without a home or a password; removed at the end."""
    full = f"hm-{name}-{os.getpid()}"
    make = [_tool("useradd"), "--no-create-home", "--home-dir", "/nonexistent", "--shell", "/bin/sh", full]
    subprocess.run(_privileged(make), check=True, capture_output=True, text=True, timeout=60)
    try:
        yield pwd.getpwnam(full)
    finally:
        subprocess.run(_privileged([_tool("userdel"), full]), check=False, capture_output=True, timeout=60)


class Stage:
    """Where the other accounts find Python and the tests: as they are, when they may read them, else mounted elsewhere.

    A checkout or an interpreter below a private folder (root's home, a folder of `mktemp`) is closed to them. Nobody's
    permissions are changed: each command gets a mount namespace of its own, in which both lie in *folder*, read-only.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mounted = False
        self.mounts: dict[Path, Path] = {
            Path(sys.base_prefix): folder / "base",
            REPOSITORY: folder / "repository",
            Path(sysconfig.get_path("purelib")): folder
            / "venv"
            / Path(sysconfig.get_path("purelib")).relative_to(sys.prefix),
        }

    def prepare(self, who: pwd.struct_passwd, home: Path) -> None:
        """Find a way for *who*; skips the test when there is none, which in CI is a failure."""
        said = self._fails(who, home)
        if said:
            self.mounted = True
            for place in self.mounts.values():
                place.mkdir(parents=True, exist_ok=True)
            programs = self.folder / "venv" / "bin"
            programs.mkdir()
            base = self.folder / "base" / Path(sys.executable).resolve().relative_to(sys.base_prefix)
            (programs / "python").symlink_to(base)
            (programs.parent / "pyvenv.cfg").write_text(f"home = {base.parent}\ninclude-system-site-packages = false\n")
            said = self._fails(who, home)
        if said:
            reason = f"{who.pw_name} can use neither {sys.executable} nor a mounted copy of it: {said}"
            _without(reason)

    def _fails(self, who: pwd.struct_passwd, home: Path) -> str:
        probe = [*self._start(who, home), "-c", "import himalia_server, ssl, tests, zmq"]
        done = subprocess.run(probe, capture_output=True, text=True, timeout=120, check=False, cwd="/")
        return done.stderr[-500:] or "it fails" if done.returncode != 0 else ""

    def command(self, who: pwd.struct_passwd, home: Path, module: str) -> list[str]:
        """The command that runs a module of the tests as *who*, with nothing of this process' environment."""
        return [*self._start(who, home), "-m", module]

    def _start(self, who: pwd.struct_passwd, home: Path) -> list[str]:
        repository = self.mounts[REPOSITORY] if self.mounted else REPOSITORY
        programs = self.folder / "venv" / "bin" if self.mounted else Path(sys.executable).parent
        folders = [repository]
        if Path(himalia.__file__).is_relative_to(REPOSITORY / "kernels"):
            folders += [repository / "kernels", repository / "server_ext"]
        variables = {
            "HOME": str(home),
            "LOGNAME": who.pw_name,
            "USER": who.pw_name,
            "PATH": f"{programs}:{SYSTEM_PATH}",
            "PYTHONPATH": ":".join(map(str, folders)),
            "PYTHONDONTWRITEBYTECODE": "1",
            "LANG": "C.UTF-8",
        }
        if self.mounted:  # an interpreter looks for its library where it was installed
            variables["LD_LIBRARY_PATH"] = str(self.folder / "base" / "lib")
        start = ["env", "-i", *(f"{key}={value}" for key, value in variables.items()), str(programs / "python")]
        if who.pw_uid != os.geteuid() or self.mounted:
            become = [_tool("setpriv"), f"--reuid={who.pw_uid}", f"--regid={who.pw_gid}", "--clear-groups"]
            start = [*self._mounting(), *become, *start] if self.mounted else _privileged([*become, *start])
        return start

    def _mounting(self) -> list[str]:
        steps = [shlex.join(["mount", "--bind", "-o", "ro", str(a), str(b)]) for a, b in self.mounts.items()]
        script = " && ".join([*steps, 'exec "$@"'])
        return _privileged([_tool("unshare"), "--mount", "--propagation", "private", "sh", "-c", script, "sh"])

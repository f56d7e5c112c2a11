"""Kernels from a zygote, for tests: a stand-in for the service grants one; kernels start through their kernelspec."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from himalia_kernels import zygotes
from tests.pure.kernels.fake_service import FakeService, fake_service
from tests.site.test_kernels_start import SECRETS, Session, add_kernelspec, running
from tests.waiting import short_dir, wait_until

READY_SECONDS = 120.0


class ZygoteLab:
    """A project whose kernels are forked."""

    def __init__(self, root: Path, service: FakeService, python: str, preload: Sequence[str] | None) -> None:
        self.root, self.service, self.python = root, service, python
        preload = None if preload is None else list(preload)
        service.granted["zygote"] = {"preload": preload, "key": "sha256:1"}
        self.use_folder("z")
        add_kernelspec(root, service, python)

    def use_folder(self, name: str) -> None:
        """Have the zygotes in a new folder of that name."""
        self.folder = self.root / name
        self.folder.mkdir(mode=0o700)
        self.service.granted["zygote"]["folder"] = str(self.folder)

    def facts(self) -> dict[str, Any]:
        """Of the zygote that was started last."""
        found = zygotes.all_facts(self.folder)
        return found[0] if found else {}

    def ready(self, other_than: int | None = None) -> int:
        """Wait for a zygote; its pid."""
        wait_until(
            lambda: self.facts().get("state") == "ready" and self.facts()["pid"] != other_than,
            READY_SECONDS,
            f"a zygote; {self.log()}",
        )
        return int(self.facts()["pid"])

    def log(self) -> str:
        """What the zygotes wrote."""
        return "".join(path.read_text() for path in self.folder.glob("*.log"))

    def stop(self) -> None:
        """Take the sockets away, which ends the zygotes, and see that they end."""
        pids = [facts["pid"] for facts in zygotes.all_facts(self.folder) if facts["state"] != "refused"]
        for path in self.folder.iterdir():
            path.unlink()
        wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), 60, "the end of the zygotes")


def how(session: Session) -> str:
    """How the session's kernel was started."""
    return str(session.manager.provisioner.start_reason)  # type: ignore[union-attr]


def pid_of(session: Session) -> int:
    """The kernel's process."""
    return int(session.manager.provisioner.pid)  # type: ignore[union-attr]


@contextmanager
def forked(**options: Any) -> Iterator[Session]:
    """A kernel that must have been forked."""
    with running(**options) as session:
        assert how(session) == "fork"
        yield session


@contextmanager
def zygote_lab(python: str = sys.executable, preload: Sequence[str] | None = None) -> Iterator[ZygoteLab]:
    """The project, without a zygote yet; a first kernel starts one."""
    with short_dir() as root, pytest.MonkeyPatch.context() as patch, fake_service(root) as service:
        patch.setenv("JUPYTER_PATH", str(root / "jupyter"))
        patch.setenv("JUPYTER_RUNTIME_DIR", str(root / "runtime"))
        patch.setenv("IPYTHONDIR", str(root / "ipython"))
        for name, value in SECRETS.items():
            patch.setenv(name, value)
        lab = ZygoteLab(root, service, python, preload)
        try:
            yield lab
        finally:
            lab.stop()


def start_zygote(lab: ZygoteLab) -> str:
    """Start a kernel, which has a zygote started, and wait for that; how the kernel was started."""
    with running() as session:
        said = how(session)
    lab.ready()
    return said


def alive(pid: int) -> bool:
    """Whether the process lives; a zombie does not."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False

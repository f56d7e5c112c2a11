"""The client's side of a zygote, and limits: what can be told without a process."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from himalia import _zygote_facts as facts
from himalia import _zygote_wire as wire
from himalia_kernels import limits
from himalia_kernels.service import ServiceNotFoundError, checked_grant
from himalia_kernels.zygote import Refused, zygote_environment, zygote_for
from himalia_kernels.zygotes import all_facts
from tests.pure.kernels.test_launcher import LAYER

linux = pytest.mark.skipif(sys.platform != "linux", reason="zygotes are for Linux")
GRANT: dict[str, Any] = {"env": {}, "cwd": "/"}


def make(folder: Path, **changes: Any) -> Any:
    folder.chmod(0o700)
    options = {"python": sys.executable, "launcher": LAYER / "himalia/kernel_main.py", "preload": ["json"]}
    return zygote_for(folder, **({"key": "k", "env": {"HOME": "/h"}} | options | changes))


@linux
def test_each_difference_that_imports_see_has_a_zygote_of_its_own(tmp_path: Path) -> None:
    base = make(tmp_path)
    for name, value in [
        ("PYTHONPATH", "/x"),
        ("PYTHONHASHSEED", "1"),
        ("LD_PRELOAD", "x"),
        ("LC_ALL", "C"),
        ("MALLOC_ARENA_MAX", "1"),
        ("OMP_NUM_THREADS", "1"),
        ("HOME", "/other"),
    ]:
        assert make(tmp_path, env={"HOME": "/h", name: value}).name != base.name, name
    for changes in ({"preload": ["os"]}, {"key": "l"}, {"python": "/usr/bin/python3"}):
        assert make(tmp_path, **changes).name != base.name
    for name in ("TZ", "PATH", "MY_SETTING", "JPY_SESSION_NAME", "HIMALIA_PROJECT"):
        assert make(tmp_path, env={"HOME": "/h", name: "x"}).name == base.name, name


def test_a_zygote_gets_no_secret() -> None:
    secrets = dict.fromkeys(("PYTHON_TOKEN", "TF_CPP_API_KEY", "HIMALIA_TOKEN_FILE", "AWS_PROFILE", "MY_OWN"), "s")
    assert zygote_environment({**secrets, "PATH": "/bin", "LC_ALL": "C"}) == {"PATH": "/bin", "LC_ALL": "C"}


@linux
def test_why_there_is_no_fork(tmp_path: Path) -> None:
    def refusal(**options: Any) -> Refused:
        with pytest.raises(Refused) as caught:
            make(tmp_path, **options).fork("kernel", [], env={}, cwd="/")
        return caught.value

    assert str(refusal(preload=[])) == "the project preloads nothing"
    assert refusal().startable
    file = make(tmp_path).path("json")
    file.write_text(json.dumps({"state": "starting", "pid": os.getpid()}))
    assert (str(refusal()), refusal().startable) == ("its zygote is still importing", False)
    assert all_facts(tmp_path)
    file.write_text(json.dumps({"state": "refused", "refused": "why", "stamp": {str(tmp_path): 1}}))
    assert (str(refusal()), refusal().startable) == ("why", True)
    file.write_text(json.dumps({"state": "refused", "refused": "why", "stamp": {"/nonexistent": 0}}))
    assert not refusal().startable
    file.unlink()
    tmp_path.chmod(0o755)
    with pytest.raises(Refused, match="open to other users"):
        zygote_for(tmp_path, python="p", launcher=LAYER / "himalia/kernel_main.py", preload=["a"], key="", env={}).fork(
            "kernel", [], env={}, cwd="/"
        )


@linux
def test_a_silent_zygote_costs_a_second_at_most_and_no_error(tmp_path: Path) -> None:
    zygote = make(tmp_path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(zygote.path("sock")))
        listener.listen()
        with pytest.raises(Refused, match="does not answer as it should"):
            zygote.fork("kernel", [], env={}, cwd="/")


@linux
def test_a_message_is_read_to_its_end_and_no_further() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        wire.send(ours, {"a": 1}, [0, 1])
        wire.send(ours, {"b": "ü"})
        first, descriptors = wire.receive(theirs)
        assert (first, len(descriptors)) == ({"a": 1}, 2)
        assert not any(os.get_inheritable(descriptor) for descriptor in descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        assert json.loads(theirs.recv(100)[4:]) == {"b": "ü"}
        ours.send(b"\xff\xff\xff\xff")
        with pytest.raises(wire.WireError):
            wire.receive(theirs)


@linux
def test_a_stamp_sees_an_installed_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = tmp_path / "site-packages"
    library.mkdir()
    monkeypatch.syspath_prepend(str(library))
    before = facts.stamp()
    assert facts.changed(before) is None
    (library / "tiny.py").touch()
    os.utime(library, ns=(1, 1))
    assert facts.changed(before) == str(library)


def test_the_fields_of_a_grant() -> None:
    whole = GRANT | {
        "python": "/p",
        "zygote": {"folder": "/z", "preload": ["a"], "key": "k"},
        "limits": {"memory_bytes": 1, "cpus": 0.5},
        "pass_environment": ["AWS_*"],
        "later": 1,
    }
    checked = checked_grant(whole, "x")
    assert checked["zygote"]["key"] == "k"
    assert "later" not in checked
    assert checked_grant(GRANT, "x")["limits"] is None
    for name, value in [
        ("python", 1),
        ("zygote", {"folder": 1}),
        ("zygote", {"folder": "/z", "preload": "a"}),
        ("limits", {"memory_bytes": "4 GiB"}),
        ("limits", {"cpus": 0}),
        ("limits", {"memory_bytes": True}),
        ("pass_environment", "AWS_*"),
    ]:
        with pytest.raises(ServiceNotFoundError, match=f"`{name}`"):
            checked_grant(GRANT | {name: value}, "x")


def system(root: Path, cgroup: str, mounts: str) -> Path:
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(cgroup)
    (root / "proc/self/mountinfo").write_text(mounts)
    return root


def test_control_groups_of_both_versions_are_found(tmp_path: Path) -> None:
    root = system(
        tmp_path,
        "4:cpu,cpuacct:/a\n3:memory:/docker/x/y\n0::/user.slice/u.scope\n",
        "31 1 0:1 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
        "32 1 0:2 /docker/x /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
        "33 1 0:3 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
    )
    assert list(limits.control_groups(root).values()) == [
        root / "sys/fs/cgroup/cpu,cpuacct/a",
        root / "sys/fs/cgroup/memory/y",
        root / "sys/fs/cgroup/unified/user.slice/u.scope",
    ]


@linux
def test_a_group_of_version_2_is_made_beside_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files of a real one cannot be had without the right to it; these are plain."""
    slice_ = tmp_path / "app.slice"
    (slice_ / "ours.scope").mkdir(parents=True)
    (slice_ / "cgroup.subtree_control").write_text("cpu memory pids\n")
    (slice_ / "ours.scope/cgroup.subtree_control").write_text("\n")
    monkeypatch.setattr(limits, "control_groups", lambda: {"0::/app.slice/ours.scope": slice_ / "ours.scope"})
    assert limits._homes() == {"memory": slice_, "cpu": slice_}
    folder = slice_ / "k"
    folder.mkdir()
    for name in ("memory.max", "memory.swap.max", "cpu.max"):
        (folder / name).touch()
    assert limits._group(slice_, "k", limits._memory_files(1000)) == folder
    assert limits._group(slice_, "k", limits._cpu_files(1.5)) == folder
    assert [(folder / name).read_text() for name in ("memory.max", "memory.swap.max", "cpu.max")] == [
        "1000",
        "0",
        "150000 100000",
    ]
    (folder / "memory.events").write_text("low 0\noom 3\noom_kill 2\noom_group_kill 0\n")
    assert limits._kills(folder) == 2
    fence = limits.Fence(limits.Limits(1000), memory_group=folder)
    assert fence.verdict(-signal.SIGKILL) is True
    assert fence.verdict(1) is False


def test_what_is_told_of_an_end() -> None:
    held = limits.Limits(memory_bytes=4 * 2**30)
    assert "because it used more than 4 GiB of memory" in limits.last_end(-9, True, held)
    assert "`memory` under `[kernel]`" in limits.last_end(-9, True, held)
    assert "ended by SIGKILL" in limits.last_end(-9, "unknown", held)
    assert "no memory left" in limits.last_end(-9, True, limits.Limits())
    assert "ended by SIGSEGV" in limits.last_end(-11, False, held)
    assert "exit status 7" in limits.last_end(7, False, held)
    assert limits.Limits(memory_bytes=300 * 2**20).memory_text == "300 MiB"
    assert limits.Limits(memory_bytes=1536 * 2**20).memory_text == "1.5 GiB"

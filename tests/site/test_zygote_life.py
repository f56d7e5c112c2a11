"""The life of a zygote: what ends it, what goes on without it, what comes after it.

Each test harms a zygote of its own, with a small preload list.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from himalia_kernels import zygote, zygotes
from tests.site.test_kernels_start import LAYER, running
from tests.site.zygote_lab import alive, forked, how, pid_of, start_zygote, zygote_lab
from tests.waiting import wait_until

pytestmark = pytest.mark.skipif(zygote.unsupported() is not None, reason=str(zygote.unsupported()))
SMALL = ["numpy"]


def test_a_killed_zygote_leaves_its_kernels_and_has_a_successor() -> None:
    with zygote_lab(preload=SMALL) as lab:
        start_zygote(lab)
        mother = int(lab.facts()["pid"])
        with forked() as session:
            os.kill(mother, signal.SIGKILL)
            assert session.run("print('goes on')")[0] == "goes on\n"
            with running() as other:
                assert how(other) == "ordinary: no zygote of its environment runs yet"
            assert lab.ready(other_than=mother) != mother
            session.client.execute("import os; os._exit(7)")
            process = session.manager.provisioner.process  # type: ignore[union-attr]
            wait_until(lambda: process.poll() is not None, 20, "the end to be noticed")
            session.manager.restart_kernel(now=True)
            session.client.wait_for_ready(timeout=60)
            assert how(session) == "fork"
            kernel = pid_of(session)
            lab.stop()
            # the site stops; the user's kernel does not
            assert alive(kernel)
            assert session.run("print('goes on')")[0] == "goes on\n"


def test_after_pip_install_a_restart_sees_the_package(tmp_path: Path) -> None:
    python = environment(tmp_path / "env")
    package = tmp_path / "package"
    package.mkdir()
    (package / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    )
    (package / "backend.py").write_text(BACKEND)
    with zygote_lab(python, preload=["json"]) as lab:
        start_zygote(lab)
        with forked() as session:
            mother = lab.facts()["pid"]
            assert session.run("import tiny_package")[1]["ename"] == "ModuleNotFoundError"
            pip = f"%pip install --quiet --no-index --no-build-isolation --no-deps {package}"
            printed, reply = session.run(pip)
            assert reply["status"] == "ok", printed
            with running() as other:
                # it has loaded what is now old; who lives of it is left alone
                assert how(other).startswith("ordinary: its environment has changed since (")
                assert other.value("__import__('tiny_package').answer") == 42
            assert session.run("print('goes on')")[0] == "goes on\n"
            assert alive(mother)
            lab.ready(other_than=mother)
            session.manager.restart_kernel()
            session.client.wait_for_ready(timeout=60)
            assert how(session) == "fork"
            assert session.value("__import__('tiny_package').answer") == 42
        wait_until(lambda: not alive(mother), 20, "the end of the stale zygote")


def environment(folder: Path) -> str:
    """An environment of its own, which sees ours; its python."""
    uv = str(Path(sys.executable).parent / "uv")
    subprocess.run([uv, "venv", "--seed", "--python", sys.executable, str(folder)], check=True, capture_output=True)
    (ours,) = {path for path in sys.path if path.endswith("site-packages")}
    (library,) = folder.glob("lib/python*/site-packages")
    (library / "ours.pth").write_text(f"{ours}\n")
    return str(folder / "bin/python")


BACKEND = '''
"""A build backend that needs nothing."""
import zipfile
FILES = {
    "tiny_package.py": "answer = 42\\n",
    "tiny-1.dist-info/METADATA": "Metadata-Version: 2.1\\nName: tiny\\nVersion: 1\\n",
    "tiny-1.dist-info/WHEEL": "Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    "tiny-1.dist-info/RECORD": "",
}
def build_wheel(folder, config_settings=None, metadata_directory=None):
    with zipfile.ZipFile(f"{folder}/tiny-1-py3-none-any.whl", "w") as wheel:
        for name, text in FILES.items():
            wheel.writestr(name, text)
    return "tiny-1-py3-none-any.whl"
'''


def test_a_zygote_with_threads_refuses_and_says_why(tmp_path: Path) -> None:
    (tmp_path / "threaded.py").write_text("import threading\nthreading.Timer(3600, print).start()\n")
    with zygote_lab(preload=["threaded"]) as lab, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(tmp_path))
        with running() as session:
            assert how(session) == "ordinary: no zygote of its environment runs yet"
        wait_until(lambda: lab.facts().get("state") == "refused", 60, "the refusal")
        assert "has started threads (" in lab.facts()["refused"]
        pid = lab.facts()["pid"]
        wait_until(lambda: not alive(pid), 20, "the end of a zygote that is of no use")
        with running() as session:
            assert how(session) == f"ordinary: {lab.facts()['refused']}"
            assert session.run("1 + 1")[1]["status"] == "ok"


def test_zygotes_end_together_and_harm_nobody(tmp_path: Path) -> None:
    for name in ("slow.py", "zygote.py"):
        (tmp_path / name).write_text("import time\ntime.sleep(60)\n")
    with zygote_lab(preload=["json"]) as lab:
        lab.use_folder("zygotes of Zoë")  # a name that JSON does not leave as it is
        start_zygote(lab)
        mother = lab.facts()["pid"]
        options = {"launcher": LAYER / "himalia/kernel_main.py", "key": "", "env": {"PYTHONPATH": str(tmp_path)}}
        slow = zygote.zygote_for(lab.folder, python=sys.executable, preload=["slow"], **options)
        slow.start()
        # that of another site, whose folder's name begins like ours, has the number of one that has been
        settings = json.dumps({"folder": f"{lab.folder} 2"})
        foreign = subprocess.Popen([sys.executable, str(tmp_path / "zygote.py"), settings])
        (lab.folder / "old.json").write_text(json.dumps({"state": "ready", "pid": foreign.pid}))
        try:
            with forked() as session:
                importing = wait_until(slow.facts, 60, "a zygote that imports")
                assert (importing["state"], alive(mother)) == ("starting", True)
                slow.path("json").unlink()  # as when it has not come so far yet
                slow.want()
                assert zygotes.end_all(lab.folder) == 2
                assert not alive(mother)
                assert not alive(importing["pid"])
                assert zygotes.start_wanted(lab.folder) == 0
                assert foreign.poll() is None
                assert session.run("print('goes on')")[0] == "goes on\n"
        finally:
            foreign.kill()
            foreign.wait()

"""Forked kernels: as safe and as complete as ordinary ones.

One zygote, with the preload list that projects have by default, serves this file; `test_zygote_life` harms its own.
"""

from __future__ import annotations

import ast
import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest

from himalia_kernels import zygote
from tests.site.test_kernels_start import KERNEL, SECRETS, Session, running
from tests.site.zygote_lab import ZygoteLab, alive, forked, how, pid_of, start_zygote, zygote_lab
from tests.waiting import wait_until

pytestmark = pytest.mark.skipif(zygote.unsupported() is not None, reason=str(zygote.unsupported()))


@pytest.fixture(scope="module")
def lab() -> Iterator[ZygoteLab]:
    with zygote_lab() as made:
        assert start_zygote(made) == "ordinary: no zygote of its environment runs yet"
        yield made


@pytest.fixture(scope="module")
def session(lab: ZygoteLab) -> Iterator[Session]:
    with forked() as made:
        yield made


STATE = """
import os, resource, signal, sys, time
import json
import pandas
def read(path):
    with open(path) as file: return file.read()
# the last two are set by scikit-learn's import
OWN = "HIMALIA_START", "HIMALIA_TOKEN_FILE", "_", "KMP_DUPLICATE_LIB_OK", "KMP_INIT_AT_FORK"
names = [name for name in dir(resource) if name.startswith("RLIMIT_")]
print(json.dumps({
    "path": sys.path, "argv": sys.argv[:1], "cwd": os.getcwd(), "flags": repr(sys.flags), "options": sys.warnoptions,
    "env": {k: v for k, v in os.environ.items() if k not in OWN},
    "limits": [resource.getrlimit(getattr(resource, name)) for name in names],
    "umask": os.umask(0o27), "nice": os.getpriority(os.PRIO_PROCESS, 0),
    "affinity": sorted(os.sched_getaffinity(0)), "oom": read("/proc/self/oom_score_adj"),
    "groups": read("/proc/self/cgroup"), "zone": time.tzname, "leader": os.getsid(0) == os.getpid() == os.getpgrp(),
    "signals": [str(signal.getsignal(number)) for number in (signal.SIGTERM, signal.SIGCHLD, signal.SIGHUP)],
    "stdin": os.readlink("/proc/self/fd/0").split(":")[0] and sys.stdin is not None,
    "outputs": [os.fstat(number).st_ino for number in (1, 2)],
    "tables": [pandas.get_option(f"display.{name}") for name in ("max_columns", "max_rows", "width")],
    "shell": hasattr(__import__("builtins"), "get_ipython"),
}))
"""


def test_a_forked_kernel_has_what_an_ordinary_one_would_have(lab: ZygoteLab, monkeypatch: pytest.MonkeyPatch) -> None:
    source = lab.service.project / "src"
    source.mkdir()
    (source / "of_the_project.py").write_text("answer = 42\n")
    lab.service.variables |= {"HIMALIA_PATH": str(source), "TZ": "Asia/Kathmandu", "CANARY": "ünïcode"}
    monkeypatch.setenv("JPY_SESSION_NAME", "a.ipynb")
    before = os.umask(0o027)
    monkeypatch.setitem(lab.service.granted, "zygote", lab.service.granted["zygote"])
    states = []
    try:
        with (lab.root / "out.txt").open("wb") as out:
            for kind in ("fork", "ordinary: its project has no zygote"):
                with running(stdout=out, stderr=out) as session:
                    assert how(session) == kind
                    printed, reply = session.run(STATE)
                    assert reply["status"] == "ok", reply
                    states.append(json.loads(printed))
                    assert session.value("__import__('of_the_project').answer") == 42
                    assert session.value("__import__('os').environ['HIMALIA_START']") == kind
                lab.service.granted["zygote"] = None
    finally:
        os.umask(before)
        lab.service.variables.clear()
    assert states[0]["umask"] == 0o027
    assert states[0]["leader"]
    assert states[0]["env"]["CANARY"] == "ünïcode"
    assert not SECRETS.keys() & states[0]["env"].keys()
    for name, value in states[0].items():
        assert value == states[1][name], name


def test_the_facts_of_the_zygote_can_be_read(lab: ZygoteLab, session: Session) -> None:
    facts = lab.facts()
    assert facts["refused"] is None
    assert facts["failed"] == {}
    assert facts["import_seconds"]["pandas"] > 0
    assert facts["memory"]["rss_bytes"] >= facts["memory"]["pss_bytes"] >= facts["memory"]["uss_bytes"] > 50e6
    assert facts["forks"] > 0
    assert pid_of(session) in facts["kernels"]
    assert (lab.folder.stat().st_mode & 0o777, (next(lab.folder.glob("*.sock"))).stat().st_mode & 0o777) == (
        0o700,
        0o600,
    )


WORK = {
    "numpy": """
        import numpy as np, os, time
        a = np.arange(900 * 900, dtype=float).reshape(900, 900) % 7
        assert ((a @ a)[:5] == a[:5].astype(int) @ a.astype(int)).all()
        def busy():
            found = []
            for task in os.listdir("/proc/self/task"):
                with open(f"/proc/self/task/{task}/stat") as file:
                    words = file.read().rpartition(")")[2].split()
                found.append(int(words[11]) + int(words[12]))
            return found
        # with one thread, the second busiest of the process would stay idle
        before = sorted(busy())[-2]
        end = time.time() + 30
        while len(os.sched_getaffinity(0)) > 1 and sorted(busy())[-2] - before < 5:
            assert time.time() < end, "one thread multiplies"
            a @ a
    """,
    "joblib and scikit-learn": """
        from joblib import Parallel, delayed
        from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
        from sklearn.model_selection import cross_val_score
        import numpy as np
        X = np.random.rand(200, 3); y = X[:, 0] > 0.5
        def double(x): return 2 * x
        assert Parallel(n_jobs=2)(delayed(double)(i) for i in range(3)) == [0, 2, 4]
        assert cross_val_score(RandomForestClassifier(10, n_jobs=2), X, y, n_jobs=2, cv=2).mean() > 0.8
        assert HistGradientBoostingClassifier(max_iter=5).fit(X, y).score(X, y) > 0.8
    """,
    "Dask": """
        import distributed
        with distributed.Client(processes=False, n_workers=1, threads_per_worker=2, dashboard_address=None) as client:
            assert client.submit(sum, [1, 2]).result() == 3
    """,
    "asyncio and processes": """
        import asyncio, multiprocessing, operator, subprocess
        assert await asyncio.sleep(0.01, 5) == 5
        process = await asyncio.create_subprocess_exec("echo", "hi", stdout=subprocess.PIPE)
        assert (await process.communicate())[0] == b"hi\\n"
        assert subprocess.run(["sh", "-c", "exit 3"]).returncode == 3
        for method in ("fork", "spawn"):
            with multiprocessing.get_context(method).Pool(1) as pool:
                assert pool.map(operator.neg, [1, 2]) == [-1, -2]
    """,
    "parquet": """
        import pandas as pd, tempfile
        frame = pd.DataFrame({"a": range(1000), "b": ["x"] * 1000})
        with tempfile.TemporaryDirectory() as folder:
            frame.to_parquet(folder + "/a.parquet")
            assert pd.read_parquet(folder + "/a.parquet").equals(frame)
    """,
    "logging of libraries": """
        import logging, distributed
        logging.getLogger("distributed").warning("seen in the notebook")
    """,
}


@pytest.mark.parametrize("what", WORK)
def test_libraries_work_in_the_child(session: Session, what: str) -> None:
    printed, reply = session.run(textwrap.dedent(WORK[what]))
    assert reply["status"] == "ok", "\n".join(reply["traceback"])
    if what == "logging of libraries":
        wait_until(lambda: "seen in the notebook" in printed + session.run("")[0], 10, "the message")


def test_a_plot_is_a_picture(session: Session) -> None:
    shown: list[dict[str, Any]] = []
    session.client.execute_interactive(
        "import matplotlib.pyplot as plt; plt.plot([1, 2]); plt.title('x');",
        timeout=60,
        output_hook=lambda message: shown.append(message["content"].get("data", {})),
    )
    assert any("image/png" in data for data in shown)


DRAWS = """
import multiprocessing, random, tempfile, uuid, numpy as np
from sklearn.utils import check_random_state
print([np.random.rand(), np.random.default_rng().random(), random.random(), str(uuid.uuid1()), str(uuid.uuid4()),
       tempfile.mktemp(), check_random_state(None).rand(), multiprocessing.current_process().authkey])
"""


def test_kernels_draw_different_numbers(lab: ZygoteLab) -> None:
    drawn = []
    for _ in range(2):
        with forked() as session:
            drawn.append(ast.literal_eval(session.run(DRAWS)[0]))
    assert not [one for one, other in zip(*drawn, strict=True) if one == other]


def test_the_secrets_of_a_kernel_are_nowhere_else() -> None:
    canaries = [f"canary-{os.urandom(16).hex()}" for _ in range(2)]
    with zygote_lab(preload=["json"]) as lab:
        start_zygote(lab)
        mother = lab.facts()["pid"]
        for number, canary in enumerate(canaries):
            lab.service.variables["PASSPHRASE_OF_A_DATABASE"] = canary
            with forked() as session:
                assert session.run("import os; os.environ['PASSPHRASE_OF_A_DATABASE']")[1]["status"] == "ok"
                memory = memory_of(pid_of(session))
                assert canary.encode() in memory
                assert number == 0 or canaries[0].encode() not in memory
        memory = memory_of(mother)
        assert b"himalia" in memory
        assert not [canary for canary in canaries if canary.encode() in memory]
        environ = Path(f"/proc/{mother}/environ").read_text()
        assert not [name for name in SECRETS if f"{name}=" in environ]


def memory_of(pid: int) -> bytes:
    """All that a process could write to, where this account may read it."""
    found = []
    with Path(f"/proc/{pid}/maps").open() as maps, Path(f"/proc/{pid}/mem").open("rb", 0) as memory:
        for line in maps:
            place, rights, *_ = line.split()
            if rights.startswith("rw"):
                start, end = (int(word, 16) for word in place.split("-"))
                try:
                    memory.seek(start)
                    found.append(memory.read(end - start))
                except (OSError, OverflowError, ValueError):
                    continue
    return b"".join(found)


ENDINGS = {
    "os._exit(7)": 7,
    "os.kill(os.getpid(), signal.SIGKILL)": -signal.SIGKILL,
    "import ctypes; ctypes.string_at(0)": -signal.SIGSEGV,
}


def test_exit_statuses_and_the_reason_told_to_the_next_kernel(lab: ZygoteLab) -> None:
    with forked() as session:
        for code, status in ENDINGS.items():
            session.client.execute(f"import os, signal; {code}")
            process = session.manager.provisioner.process  # type: ignore[union-attr]
            assert process.wait(20) == status
            assert not session.manager.is_alive()
            session.manager.restart_kernel(now=True)
            session.client.wait_for_ready(timeout=60)
            assert how(session) == "fork"
            printed, _ = session.run("print('goes on')")
            assert "The kernel before this one ended" in printed or "The kernel before this one was ended by" in printed
            assert session.run("print('goes on')")[0] == "goes on\n"
        pid = pid_of(session)
    assert not alive(pid)
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), 20, "the zygote to forget its kernel")


def test_interrupt_and_restart(lab: ZygoteLab) -> None:
    with forked() as session:
        for code in ("import time; time.sleep(60)", "import subprocess; subprocess.run(['sleep', '60'])"):
            # a request that follows an error at once is set aside with it, unless this is told
            session.client.execute(f"print('begun', flush=True); {code}", stop_on_error=False)
            begun(session)
            session.manager.interrupt_kernel()
            assert session.client.get_shell_msg(timeout=30)["content"]["ename"] == "KeyboardInterrupt"
            assert session.run("print(1)")[0] == "1\n"
        before = pid_of(session)
        session.manager.restart_kernel()
        session.client.wait_for_ready(timeout=60)
        assert how(session) == "fork"
        assert pid_of(session) != before
        assert not alive(before)


def begun(session: Session) -> None:
    """Wait for the cell's first output."""
    while True:
        message = session.client.get_iopub_msg(timeout=60)
        if message["msg_type"] == "stream" and "begun" in message["content"]["text"]:
            return


CLIENT = """
import sys, time
from jupyter_client.manager import KernelManager
manager = KernelManager(kernel_name=sys.argv[1])
manager.start_kernel()
print(manager.provisioner.start_reason, manager.provisioner.pid, flush=True)
client = manager.client(); client.start_channels(); client.wait_for_ready(timeout=60)
client.execute("import subprocess, re, time; print('x')\\nwhile True: time.sleep(1)")
print("runs", flush=True)
time.sleep(600)
"""


def test_a_kernel_ends_with_its_client(lab: ZygoteLab) -> None:
    client = subprocess.Popen([sys.executable, "-c", CLIENT, KERNEL], stdout=subprocess.PIPE, text=True)
    assert client.stdout is not None
    started, pid = client.stdout.readline().split()
    assert started == "fork"
    assert client.stdout.readline() == "runs\n"
    assert alive(int(pid))
    client.kill()
    client.wait()
    client.stdout.close()
    wait_until(lambda: not alive(int(pid)), 20, "the end of the kernel")


LEAVES_A_PROCESS = """
import os, subprocess
leave = "setsid sleep 600 >/dev/null 2>&1 & echo $!"
print(os.environ["HIMALIA_START"], subprocess.run(["sh", "-c", leave], capture_output=True, text=True).stdout)
"""


def test_papermill_and_nbclient_fork_too_and_a_stage_leaves_no_process(
    lab: ZygoteLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    import papermill
    from nbclient import NotebookClient
    from papermill.engines import papermill_engines

    from himalia_kernels.engine import HimaliaEngine

    def said(notebook: Any) -> tuple[str, int]:
        started, orphan = notebook.cells[0].outputs[0].text.split()
        return started, int(orphan)

    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(LEAVES_A_PROCESS)])
    nbformat.write(notebook, lab.root / "in.ipynb")
    started, own = said(NotebookClient(notebook, kernel_name=KERNEL).execute())
    assert started == "fork"
    assert alive(own)  # a person's, as with an ordinary kernel

    grant = lab.root / "grant.json"
    grant.touch(0o600)
    grant.write_text(json.dumps(lab.service.grant("stage")))
    monkeypatch.setenv("HIMALIA_GRANT_FILE", str(grant))
    papermill_engines.register("himalia", HimaliaEngine)
    files = (str(lab.root / name) for name in ("in.ipynb", "out.ipynb"))
    options = {"engine_name": "himalia", "kernel_name": KERNEL, "language": "python", "progress_bar": False}
    started, orphan = said(papermill.execute_notebook(*files, **options))
    assert started == "fork"
    wait_until(lambda: not alive(orphan), 20, "the end of the orphan")
    assert alive(own)
    os.kill(own, signal.SIGKILL)


def test_the_debugger_attaches_and_asks_for_the_account(session: Session) -> None:
    """As JupyterLab does it; `_debugger.guard` has made the port one that looks at who connects."""

    def ask(command: str, **arguments: Any) -> dict[str, Any]:
        ask.count += 1  # type: ignore[attr-defined]
        content = {"type": "request", "seq": ask.count, "command": command, "arguments": arguments}  # type: ignore[attr-defined]
        message = session.client.session.msg("debug_request", content)
        session.client.control_channel.send(message)
        while True:
            reply: dict[str, Any] = session.client.control_channel.get_msg(timeout=60)
            if reply["parent_header"].get("msg_id") == message["header"]["msg_id"]:
                return reply["content"]  # type: ignore[no-any-return]

    ask.count = 0  # type: ignore[attr-defined]
    assert ask("initialize", clientID="test", adapterID="python", pathFormat="path")["success"]
    assert ask("attach")["success"]
    file = ask("dumpCell", code="x = 1\ny = x + 1\nz = y\n")["body"]["sourcePath"]
    placed = ask("setBreakpoints", source={"path": file}, breakpoints=[{"line": 2}], lines=[2])
    assert placed["body"]["breakpoints"][0]["verified"]
    assert ask("configurationDone")["success"]
    session.client.execute("x = 1\ny = x + 1\nz = y\n")
    while True:
        message = session.client.get_iopub_msg(timeout=60)
        if message["msg_type"] == "debug_event" and message["content"]["event"] == "stopped":
            break
    frames = ask("stackTrace", threadId=message["content"]["body"]["threadId"])["body"]["stackFrames"]
    assert frames[0]["line"] == 2
    assert ask("continue", threadId=message["content"]["body"]["threadId"])["success"]
    assert session.client.get_shell_msg(timeout=60)["content"]["status"] == "ok"
    assert ask("disconnect", restart=False, terminateDebuggee=True)["success"]
    guarded = "__import__('debugpy.common.sockets', fromlist=['x']).create_server.__module__"
    assert session.value(guarded) == "himalia._debugger"


def test_a_module_of_the_project_is_not_hidden_by_a_preloaded_one(lab: ZygoteLab) -> None:
    hiding = lab.service.project / "notebooks"
    hiding.mkdir()
    (hiding / "sklearn.py").write_text("mine = True\n")
    with running(cwd=str(hiding)) as session:
        assert f"{hiding}/sklearn.py would be imported in place of" in how(session)
        assert session.value("__import__('sklearn').mine") is True

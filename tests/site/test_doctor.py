"""`himalia doctor`: each of the likeliest troubles is made, named, and mended again; all other checks go on."""

from __future__ import annotations

import json
import os
import resource
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import psutil
import pytest

from himalia import __version__
from himalia_server.cli.doctor import CHECKS, Finding, examine
from himalia_server.cli.doctor import service as service_checks
from himalia_server.service.site import write_private
from tests.site.lab import Lab, running_lab
from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
Making = AbstractContextManager[object]


@pytest.fixture(scope="module")
def sick(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A site of its own, to be harmed and mended; Jupyter finds both extensions, as after an installation."""
    tmp_path_factory.getbasetemp()  # chosen now, not in the lab's TMPDIR, which goes with it
    with running_lab() as lab, pytest.MonkeyPatch.context() as patch:
        config = lab.root / "config" / "jupyter_server_config.d"
        config.mkdir(parents=True)
        shutil.copy(ROOT / "server_ext" / "jupyter-config" / "himalia.json", config)
        labextension = lab.root / "share" / "labextensions" / "himalia"
        labextension.mkdir(parents=True)
        (labextension / "package.json").write_text(json.dumps({"name": "himalia", "version": __version__}))
        patch.setenv("JUPYTER_CONFIG_PATH", str(lab.root / "config"))
        patch.setenv("JUPYTER_PATH", str(lab.root / "share"))
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "HIMALIA_DATABASE_URL"):
            patch.delenv(name, raising=False)
        lab.project("well", {"one": {"notebook": "one.ipynb"}}, {"one.ipynb": ["n = 1"]})
        yield lab


@pytest.fixture
def asleep(sick: Lab, tmp_path: Path) -> Lab:
    """Another site, whose service does not run: identity and database are copies of the first one's."""
    lab = Lab(tmp_path)
    lab.home.mkdir(mode=0o700)
    shutil.copy(sick.home / "site.json", lab.home)
    with closing(sqlite3.connect(sick.site.database)) as source, closing(sqlite3.connect(lab.site.database)) as copy:
        source.backup(copy)
    lab.site.database.chmod(0o600)
    lab.site.remember(runtime=str(tmp_path / f"himalia-{lab.site.id}"))
    return lab


def himalia(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """The real command."""
    command = [sys.executable, "-c", "from himalia_server.cli import main; main()", *words]
    env = os.environ | variables
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=env)


@contextmanager
def written(file: Path, text: str | None) -> Iterator[None]:
    """*file* holds *text* (None: it is gone) for the time of the block."""
    before = file.read_bytes() if file.exists() else None
    mode = file.stat().st_mode & 0o777 if file.exists() else 0o600
    file.parent.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)
    if text is not None:
        file.touch(mode)
        file.write_text(text)
    try:
        yield
    finally:
        file.unlink(missing_ok=True)
        if before is not None:
            file.touch(mode)
            file.write_bytes(before)


@contextmanager
def state(lab: Lab, **changes: object) -> Iterator[None]:
    """The service's state file says something else."""
    with written(lab.site.state_file, json.dumps(json.loads(lab.site.state_file.read_text()) | changes)):
        yield


@contextmanager
def moved(path: Path) -> Iterator[None]:
    """*path* lies elsewhere."""
    aside = path.with_name(path.name + ".aside")
    path.rename(aside)
    try:
        yield
    finally:
        aside.rename(path)


@contextmanager
def variables(**values: str) -> Iterator[None]:
    """Variables of the environment."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in values.items():
            patch.setenv(name, value)
        yield


@contextmanager
def distribution(lab: Lab, *lines: str) -> Iterator[None]:
    """The installed distribution of Himalia says so."""
    info = lab.root / "other" / f"himalia-{__version__}.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    head = ["Metadata-Version: 2.1", "Name: himalia", f"Version: {__version__}"]
    (info / "METADATA").write_text("\n".join([*head, *lines]) + "\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(info.parent))
        yield


@contextmanager
def sql(lab: Lab, harm: str, mend: str | None = None) -> Iterator[None]:
    """The database was changed behind Himalia's back."""
    with closing(sqlite3.connect(lab.site.database, timeout=30)) as connection:
        connection.execute(harm)
        connection.commit()
        yield
        if mend is not None:
            connection.execute(mend)
            connection.commit()


@contextmanager
def few_files() -> Iterator[None]:
    """As after `ulimit -n 256`."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@contextmanager
def little_memory(lab: Lab) -> Iterator[None]:
    """psutil reads another /proc, of a machine with 0.5 GiB available."""
    (lab.root / "proc").mkdir(exist_ok=True)
    real = Path("/proc/meminfo").read_text().splitlines()
    lines = ["MemAvailable:     524288 kB" if line.startswith("MemAvailable:") else line for line in real]
    (lab.root / "proc" / "meminfo").write_text("\n".join(lines) + "\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(psutil, "PROCFS_PATH", str(lab.root / "proc"), raising=False)
        yield


@contextmanager
def listening(answer: bytes | None = None) -> Iterator[int]:
    """A stranger on a port, who answers each request with *answer*, or is silent."""
    if answer is None:
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            yield other.getsockname()[1]
        return

    class Stranger(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert "Authorization" not in self.headers
            self.send_response(200)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_args: object) -> None:
            return None

    with HTTPServer(("127.0.0.1", 0), Stranger) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@contextmanager
def stranger(lab: Lab, answer: bytes | None) -> Iterator[None]:
    """Somebody else listens where the state file points."""
    with listening(answer) as port, pytest.MonkeyPatch.context() as patch:
        patch.setattr(service_checks, "ANSWER_SECONDS", 0.3)
        with state(lab, address=f"http://127.0.0.1:{port}"):
            yield


@contextmanager
def halted(lab: Lab) -> Iterator[None]:
    """The service was sent SIGSTOP."""
    assert lab.found is not None
    process = psutil.Process(lab.found.identity.pid)
    process.suspend()
    try:
        wait_until(lambda: process.status() == psutil.STATUS_STOPPED, 10, "the halt")
        yield
    finally:
        process.resume()


@contextmanager
def kernelspec(lab: Lab, python: str | None) -> Iterator[None]:
    """The project's kernelspec is gone, or its Python is."""
    file = Path(os.environ["JUPYTER_DATA_DIR"]) / "kernels" / f"himalia-{lab.site.id}-well" / "kernel.json"
    document = json.loads(file.read_text())
    document["argv"][0] = python
    with written(file, json.dumps(document) if python else None):
        yield


@contextmanager
def mode(path: Path, bits: int) -> Iterator[None]:
    before = path.stat().st_mode & 0o777
    path.chmod(bits)
    try:
        yield
    finally:
        path.chmod(before)


ROW = (
    "INSERT INTO {} (id, project_id, name, state, error, created_by, created_at{}) "
    "SELECT 'x', id, 'bad', '{}', {}, 'ada', 0{} FROM projects"
)
CLUSTER = ROW.format(
    "clusters",
    ", profile, workers, threads_per_worker, memory_limit",
    "failed",
    "'no memory'",
    ", 'local', 1, 1, '1GiB'",
)


@dataclass
class Case:
    """A trouble: the check that names it, how it is made, words of the sentence and of the hint, and which checks it
    makes impossible."""

    check: str
    make: Callable[[Lab], Making]
    says: str
    hint: str
    silences: tuple[str, ...] = ()


ASKED = ("token", "MLflow", "audit log")
STORED = ("clock", "kernels", "projects", "clusters", "endpoints")
CASES = {
    "old Python": Case(
        "Python", lambda lab: distribution(lab, "Requires-Python: >=3.99"), "needs >=3.99", "environment"
    ),
    "old package": Case(
        "packages",
        lambda lab: distribution(lab, "Requires-Dist: click>=999", "Requires-Dist: absent-thing; extra == 'demo'"),
        "click is 8",
        "install 'click>=999'",
    ),
    "missing package": Case(
        "packages", lambda lab: distribution(lab, "Requires-Dist: no-such-thing"), "no-such-thing is missing", "install"
    ),
    "few file descriptors": Case("open files", lambda _: few_files(), "only 256 files", "ulimit -n 4096"),
    "little memory": Case("memory", little_memory, "512 MiB available", "smaller clusters"),
    "proxy for everything": Case(
        "proxies",
        lambda _: variables(HTTP_PROXY="http://proxy:8080", NO_PROXY="example.org"),
        "HTTP_PROXY is set",
        "NO_PROXY=127.0.0.1",
    ),
    "open permissions": Case(
        "permissions", lambda lab: mode(lab.home, 0o755), "open to other accounts", "chmod -R go="
    ),
    "open token": Case("permissions", lambda lab: mode(lab.site.user_token_file, 0o644), "tokens/user", "chmod -R go="),
    "broken settings": Case(
        "settings",
        lambda lab: written(lab.home / "settings.toml", "[service\n"),
        "settings.toml cannot be read",
        "Mend",
        ("database", "ports", *STORED),
    ),
    "unknown setting": Case(
        "settings",
        lambda lab: written(lab.home / "settings.toml", "[service]\nprot = 1\n"),
        "unknown setting [service] prot",
        "Mend",
        ("database", "ports", *STORED),
    ),
    "runtime folder gone": Case("runtime folder", lambda lab: moved(lab.site.runtime), "is gone", "enable-linger"),
    "server extension off": Case(
        "server extension",
        lambda lab: written(
            lab.root / "config" / "jupyter_server_config.json",
            '{"ServerApp": {"jpserver_extensions": {"himalia_server.extension": false}}}',
        ),
        "switched off",
        "jupyter server extension enable",
    ),
    "labextension of another version": Case(
        "labextension",
        lambda lab: written(lab.root / "share" / "labextensions" / "himalia" / "package.json", '{"version": "0.0.1"}'),
        f"is 0.0.1, this is {__version__}",
        "pip install --force-reinstall",
    ),
    "labextension off": Case(
        "labextension",
        lambda lab: written(
            lab.root / "config" / "labconfig" / "page_config.json", '{"disabledExtensions": {"himalia": true}}'
        ),
        "switched off",
        "jupyter labextension enable himalia",
    ),
    "kernel's Python gone": Case(
        "kernels", lambda lab: kernelspec(lab, "/no/such/python"), "well (/no/such/python)", "himalia up"
    ),
    "kernelspec gone": Case(
        "kernels", lambda lab: kernelspec(lab, None), "no kernel is installed for well", "himalia up"
    ),
    "project moved": Case(
        "projects", lambda lab: moved(lab.root / "projects" / "well"), "gone or were moved: well", "Move them back"
    ),
    "broken himalia.toml": Case(
        "projects",
        lambda lab: written(lab.root / "projects" / "well" / "himalia.toml", '[project]\nnme = "x"\n'),
        "line 2, project.nme",
        "Mend himalia.toml",
    ),
    "service halted": Case("service", halted, "was halted", "kill -CONT", ASKED),
    "service hangs": Case("service", lambda lab: stranger(lab, None), "does not answer within", "himalia down", ASKED),
    "a stranger on the port": Case(
        "service", lambda lab: stranger(lab, b'{"proof": "00"}'), "is not this site's service", "himalia down", ASKED
    ),
    "nobody listens": Case(
        "service", lambda lab: state(lab, address="http://127.0.0.1:9"), "nobody listens", "himalia logs service", ASKED
    ),
    "newer service": Case("service", lambda lab: state(lab, version="99.0"), "is newer than", "pip install -U himalia"),
    "older service": Case("service", lambda lab: state(lab, version="0.0.1"), "is older than", "himalia up"),
    "state file of another boot": Case(
        "service", lambda lab: state(lab, boot="another"), "when the machine went down", "himalia up", ASKED
    ),
    "damaged state file": Case(
        "service", lambda lab: written(lab.site.state_file, "{"), "is damaged", "himalia down", ASKED
    ),
    "wrong token": Case(
        "token",
        lambda lab: written(lab.site.user_token_file, "him_wrong\n"),
        "does not take the token",
        "himalia down",
        ("MLflow", "audit log"),
    ),
    "changed audit log": Case(
        "audit log",
        lambda lab: sql(
            lab,
            "UPDATE audit SET actor = actor || 'x' WHERE seq = 1",
            "UPDATE audit SET actor = rtrim(actor, 'x') WHERE seq = 1",
        ),
        "row 1 of",
        "restore an older backup",
    ),
    "clock was ahead": Case(
        "clock",
        lambda lab: sql(
            lab, "UPDATE events SET at = at + 864000 WHERE seq = 1", "UPDATE events SET at = at - 864000 WHERE seq = 1"
        ),
        "10 days in the future",
        "timedatectl",
    ),
    "failed cluster": Case(
        "clusters", lambda lab: sql(lab, CLUSTER, "DELETE FROM clusters"), "well/bad: no memory", "himalia logs"
    ),
    "failed endpoint": Case(
        "endpoints",
        lambda lab: sql(lab, ROW.format("deployments", "", "failed", "'no model'", ""), "DELETE FROM deployments"),
        "well/bad: no model",
        "himalia logs gateway",
    ),
    "gateway down": Case(
        "endpoints",
        lambda lab: sql(lab, ROW.format("deployments", "", "ready", "NULL", ""), "DELETE FROM deployments"),
        "the gateway does not run",
        "himalia logs gateway",
    ),
}


def check(found: list[Finding], case: Case) -> None:
    """The trouble is named, nothing else is one, and every other check was made."""
    troubles = {finding.check: finding for finding in found if not finding.ok}
    assert set(troubles) == {case.check}, found
    said = troubles[case.check]
    assert case.says in said.detail
    assert case.hint in (said.hint or "")
    assert {finding.check for finding in found} == set(CHECKS) - set(case.silences)


@pytest.mark.parametrize("name", CASES)
def test_a_trouble_is_named_while_all_other_checks_go_on(sick: Lab, name: str) -> None:
    case = CASES[name]
    with case.make(sick):
        check(list(examine()), case)


def test_a_healthy_site(sick: Lab) -> None:
    done = himalia("doctor", "--json")
    found = [Finding(**item) for item in json.loads(done.stdout)]
    assert [finding for finding in found if not finding.ok] == []
    assert [finding.check for finding in found] == list(CHECKS)
    assert done.returncode == 0


def test_a_site_without_a_service_and_one_that_does_not_exist(asleep: Lab, tmp_path: Path) -> None:
    assert [finding for finding in examine(asleep.home) if not finding.ok] == []
    assert [finding for finding in examine(tmp_path / "none") if not finding.ok] == []
    assert not (tmp_path / "none").exists()


@contextmanager
def mounted(*options: str, at: Path) -> Iterator[None]:
    """A file system at *at* until the end of the block."""
    subprocess.run(["mount", *options, str(at)], check=True, capture_output=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(at)], check=True)


@contextmanager
def damaged(file: Path) -> Iterator[None]:
    """Pages in the middle of an SQLite file are noise."""
    content = bytearray(file.read_bytes())
    content[4096 : len(content) - 4096] = os.urandom(len(content) - 8192)
    file.write_bytes(content)
    yield


@contextmanager
def taken(lab: Lab, what: str) -> Iterator[None]:
    """A chosen port is another program's."""
    with listening() as port:
        if what == "service":
            (lab.home / "settings.toml").write_text(f"[service]\nport = {port}\n")
        else:
            lab.site.remember(gateway_port=port)
        yield


NAMELESS = (
    "permissions",
    "settings",
    "runtime folder",
    "database",
    "MLflow's database",
    "ports",
    "service",
    "leftovers",
)
SITE = (*NAMELESS, *STORED)
ASLEEP = {
    "damaged database": Case(
        "database", lambda lab: damaged(lab.site.database), "is damaged", "himalia restore FILE", STORED
    ),
    "no database at all": Case(
        "database", lambda lab: written(lab.site.database, "hello " * 1000), "not a database", "himalia restore", STORED
    ),
    "newer database": Case(
        "database",
        lambda lab: sql(lab, "UPDATE alembic_version SET version_num = '9999'"),
        "a newer Himalia wrote it",
        "pip install -U himalia",
        STORED,
    ),
    "PostgreSQL not reachable": Case(
        "database",
        lambda lab: written(
            lab.home / "settings.toml", '[database]\nurl = "postgresql://ada:geheim@127.0.0.1:9/himalia"\n'
        ),
        "postgresql://ada:***@127.0.0.1:9/himalia cannot be used",
        "settings.toml",
        STORED,
    ),
    "no PostgreSQL": Case(
        "database",
        lambda lab: written(lab.home / "settings.toml", '[database]\nurl = "mysql://127.0.0.1/himalia"\n'),
        "is no PostgreSQL",
        "Example: postgresql",
        STORED,
    ),
    "damaged MLflow database": Case(
        "MLflow's database",
        lambda lab: written(lab.site.tracking_database, "hello " * 1000),
        "not a database",
        "himalia restore",
    ),
    "port of the service taken": Case("ports", lambda lab: taken(lab, "service"), "is taken by", "settings.toml"),
    "port of the gateway taken": Case("ports", lambda lab: taken(lab, "gateway"), "is taken by", "settings.toml"),
    "lost identity": Case(
        "site",
        lambda lab: written(lab.home / "site.json", None),
        "although there is a database",
        "himalia restore",
        SITE,
    ),
    "damaged identity": Case(
        "site",
        lambda lab: written(lab.home / "site.json", "{}"),
        "'id' is not in it",
        "himalia restore",
        SITE,
    ),
}


@pytest.mark.parametrize("name", ASLEEP)
def test_a_trouble_is_named_while_the_service_does_not_run(asleep: Lab, name: str) -> None:
    case = ASLEEP[name]
    with case.make(asleep):
        found = list(examine(asleep.home))
    assert "geheim" not in str(found)
    check(found, replace(case, silences=(*case.silences, *ASKED)))


NEEDS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")


@NEEDS_ROOT
def test_a_disk_that_is_nearly_full(asleep: Lab, tmp_path: Path) -> None:
    (tmp_path / "small").mkdir(mode=0o700)
    with mounted("-t", "tmpfs", "-o", "size=8m,mode=700", "tmpfs", at=tmp_path / "small"):
        found = {finding.check: finding for finding in examine(tmp_path / "small" / "home") if not finding.ok}
        assert set(found) == {"disk"}
        assert found["disk"].detail.startswith("8 MiB free")
        runtime = tmp_path / "small" / asleep.site.runtime.name
        runtime.mkdir(mode=0o700)
        asleep.site.remember(runtime=str(runtime))
        (said,) = [finding for finding in examine(asleep.home) if not finding.ok]
        assert (said.check, "is full" in said.detail) == ("runtime folder", True)


@NEEDS_ROOT
def test_a_folder_that_cannot_be_written_and_one_of_somebody_else(asleep: Lab) -> None:
    with mounted("--bind", str(asleep.home), at=asleep.home):
        subprocess.run(["mount", "-o", "remount,ro,bind", str(asleep.home)], check=True)
        (said,) = [finding for finding in examine(asleep.home) if not finding.ok]
        assert (said.check, "cannot be written" in said.detail) == ("site", True)
    os.chown(asleep.home, 65534, 65534)
    (said,) = [finding for finding in examine(asleep.home) if not finding.ok]
    assert said.check == "site"
    assert "belongs to nobody, and this is root" in said.detail
    assert "sudo chown -R root" in (said.hint or "")


def test_a_kernel_folder_that_cannot_be_made(sick: Lab) -> None:
    """A file lies where the folder should be; root could write into any folder."""
    (sick.root / "file").touch()
    with variables(JUPYTER_DATA_DIR=str(sick.root / "file")):
        troubles = {finding.check for finding in examine() if not finding.ok}
    assert troubles == {"kernel folder", "kernels"}


def test_an_encoding_that_cannot_say_all_is_named_without_a_traceback(sick: Lab) -> None:
    done = himalia("doctor", LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert done.returncode == 1
    assert [line for line in done.stdout.splitlines() if line.startswith("trouble")] == [
        line for line in done.stdout.splitlines() if line.startswith("trouble text encoding:")
    ]
    assert "trouble text encoding" in done.stdout
    assert done.stderr == ""


def test_a_killed_service_what_it_left_and_a_broken_mlflow(sick: Lab) -> None:
    wait_until(lambda: sick.child_pid("mlflow"), 60, "MLflow's process")
    sick.kill_service()
    found = {finding.check: finding for finding in examine()}
    assert {name for name, finding in found.items() if not finding.ok} == {"service"}
    assert "killed without a farewell" in found["service"].detail
    assert "mlflow" in found["leftovers"].detail
    sick.site.state_file.unlink()
    done = himalia("doctor")
    assert done.returncode == 1
    assert "trouble leftovers: processes of an earlier service still run: mlflow" in done.stdout
    assert done.stdout.count("\ntrouble ") == 1
    assert done.stdout.endswith("1 trouble found.\n")

    assert himalia("down").returncode == 0
    write_private(sick.site.tracking_database, "this is no database")
    sick.start()
    wait_until(lambda: "failed" in sick.get("/service")["tracking"], 60, "the end of MLflow's start")
    found = {finding.check: finding for finding in examine() if not finding.ok}
    assert set(found) == {"MLflow", "MLflow's database"}
    assert "could not be started" in found["MLflow"].detail

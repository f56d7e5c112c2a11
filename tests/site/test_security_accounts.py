"""Another account of the same machine, and every place where a secret might lie: a site at work, as a real account."""

from __future__ import annotations

import base64
import gzip
import io
import json
import os
import pwd
import subprocess
import tarfile
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.site.accounts import Stage, account, require_accounts
from tests.waiting import short_dir


@dataclass
class Attacked:
    """The site (`facts` of `victim.py`), what the other account found (`attacker.py`), and every command line seen."""

    facts: dict[str, Any]
    found: dict[str, Any]
    commands: set[str] = field(default_factory=set)

    def kind(self, port: int) -> str:
        """Whose port it is."""
        known = {int(self.facts[name].split(":")[2].split("/")[0]): name for name in ("service", "gateway")}
        named = (name for name in ("kernel", "cluster", "debugger") if port in self.facts[f"{name}_ports"])
        return next(named, known.get(port, "output pipe"))


def watch(uid: int, seen: set[str], done: threading.Event) -> None:
    """Collect the command lines of an account's processes for as long as it works."""
    while not done.wait(0.2):
        for folder in Path("/proc").iterdir():
            try:
                if folder.name.isdigit() and folder.stat().st_uid == uid:
                    seen.add((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
            except OSError:
                continue


@pytest.fixture(scope="module")
def attacked() -> Iterator[Attacked]:
    """A site of one account (this one, when it is not root), while another one looks around."""
    require_accounts()
    with account("other") as other, account("owner") as made, short_dir() as folder:
        owner = made if os.geteuid() == 0 else pwd.getpwuid(os.getuid())
        folder.chmod(0o755)
        homes = {who.pw_name: folder / who.pw_name for who in (owner, other)}
        homes[owner.pw_name].mkdir(0o755)
        if owner is made:
            os.chown(homes[owner.pw_name], owner.pw_uid, owner.pw_gid)
        stage = Stage(folder / "python")
        stage.prepare(other, homes[other.pw_name])
        seen: set[str] = set()
        done = threading.Event()
        watcher = threading.Thread(target=watch, args=(owner.pw_uid, seen, done))
        log = folder / "victim.log"
        with log.open("w") as errors:
            victim = subprocess.Popen(
                stage.command(owner, homes[owner.pw_name], "tests.site.victim"),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                cwd="/",
            )
        watcher.start()
        try:
            assert victim.stdout is not None
            line = victim.stdout.readline()
            assert line, log.read_text()[-3000:]
            facts = json.loads(line)
            roots = [*(facts[name] for name in ("root", "runtime", "jupyter")), str(homes[owner.pw_name])]
            attack = subprocess.run(
                stage.command(other, homes[other.pw_name], "tests.site.attacker"),
                input=json.dumps({"uid": facts["uid"], "roots": roots}),
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
                cwd="/",
            )
            assert attack.returncode == 0, attack.stderr
            yield Attacked(facts, json.loads(attack.stdout), seen)
        finally:
            done.set()
            watcher.join()
            victim.communicate(timeout=120)


def test_it_is_another_account_that_hears_what_is_open(attacked: Attacked) -> None:
    """Else the tests below would prove nothing."""
    assert attacked.found["me"] not in (0, attacked.facts["uid"])
    assert attacked.facts["uid"] != 0
    assert attacked.found["control"] is True
    lines = " ".join(attacked.found["processes"]["lines"])
    for part in (
        "himalia_server.service",
        "_serve.py",
        "himalia_server.gateway",
        "kernel_main.py",
        "himalia_kernels.stage",
    ):
        assert part in lines
    kinds = Counter(attacked.kind(port) for _, port in attacked.found["ports"])
    assert kinds == {"service": 1, "gateway": 1, "kernel": 5, "output pipe": 1, "cluster": 2, "debugger": 2}


def test_every_port_is_on_the_loopback_address(attacked: Attacked) -> None:
    assert {address for address, _ in attacked.found["ports"]} == {"tcp 0100007F"}


def test_no_port_says_anything_that_matters(attacked: Attacked) -> None:
    for text, answers in attacked.found["answers"].items():
        port = int(text)
        kind = attacked.kind(port)
        if kind in ("service", "gateway"):
            assert answers["http"].startswith("HTTP/1.1 401"), (kind, answers)
        else:
            assert "HTTP/1.1" not in answers["http"], (kind, answers)
        assert "HTTP/1.1 2" not in json.dumps(answers), (kind, answers)
        assert answers["tls"].startswith("("), (kind, answers)
        # unasked, ZeroMQ tells the version of its protocol; the others say nothing
        assert answers["nothing"][:1] in ("", "(") or kind in ("kernel", "output pipe"), (kind, answers)
        assert kind != "debugger" or set(answers.values()) <= {"", "(ConnectionResetError)", "(SSLEOFError)"}, answers
        for name in ("work", "thing", "local", attacked.facts["root"], attacked.facts["output"]):
            assert not [answer for answer in answers.values() if name in answer], (kind, name, answers)


def test_what_a_kernel_prints_is_not_overheard(attacked: Attacked) -> None:
    assert len(set(attacked.facts["kernel_ports"])) == 5
    assert attacked.found["heard"] == {str(port): [] for _, port in attacked.found["ports"]}


def test_only_project_folders_and_kernelspecs_can_be_read_and_nothing_written(attacked: Attacked) -> None:
    facts = attacked.facts
    may_be_read = (f"{facts['root']}/projects/", f"{facts['root']}/jupyter/kernels/", f"{facts['jupyter']}/")
    private = (f"{facts['jupyter']}/run/", f"{facts['jupyter']}/home/", f"{facts['jupyter']}/data/")
    files = attacked.found["files"]
    opened = [path for path in files["read"] if not path.startswith(may_be_read) or path.startswith(private)]
    assert [path for path in opened if not path.endswith("/.ipython/profile_default/startup/README")] == []
    assert files["read"]  # kernelspecs, at least
    assert files["write"] == []


def test_no_socket_lets_it_in(attacked: Attacked) -> None:
    ours = {path: how for path, how in attacked.found["sockets"].items() if not path.startswith("@")}
    names = {Path(path).name for path in ours}
    assert {"control.sock", "scheduler.sock", "jupyter.sock"} <= names, names
    # Jupyter makes its own socket, in the folder that it is told
    assert {path: how for path, how in ours.items() if how != "PermissionError" and "jupyter.sock" not in path} == {}
    assert [path for path in attacked.found["sockets"] if path.startswith("@") and "himalia" in path] == []


def test_nothing_inside_a_process_can_be_opened(attacked: Attacked) -> None:
    assert attacked.found["processes"]["opened"] == []


def spellings(secret: str) -> list[bytes]:
    """A secret as it is, in the three alignments of base64, and in an address."""
    raw = secret.encode()
    encoded = [base64.b64encode(b"x" * shift + raw).rstrip(b"=")[2 if shift else 0 :][2:-4] for shift in range(3)]
    return [raw, quote(secret, safe="").encode(), *encoded]


def leaks(secrets: dict[str, str], data: bytes) -> list[str]:
    """Names of the secrets that are in *data*."""
    return [name for name, secret in secrets.items() if any(spelling in data for spelling in spellings(secret))]


def test_the_search_finds_what_there_is() -> None:
    secret = {"s": "him_abcdefghijklmnopqrstuvwxyz-0123456789/+"}
    for before in ("", "a", "ab", "abc"):
        assert leaks(secret, base64.b64encode(f"{before}{secret['s']} and more".encode())) == ["s"]
    assert leaks(secret, b"?token=him_abcdefghijklmnopqrstuvwxyz-0123456789%2F%2B") == ["s"]
    assert leaks(secret, b"him_abc") == []


def test_no_secret_in_a_command_line(attacked: Attacked) -> None:
    """Sampled all the while; Jupyter's own token is in its command line because this test puts it there."""
    secrets = {name: text for name, text in attacked.facts["secrets"].items() if name != "jupyter"}
    assert len(attacked.commands) >= 10
    assert {
        command: leaks(secrets, command.encode()) for command in attacked.commands if leaks(secrets, command.encode())
    } == {}


def test_no_secret_in_what_is_said(attacked: Attacked) -> None:
    said = attacked.facts["said"]
    assert len(said) >= 25
    assert {
        name: leaks(attacked.facts["secrets"], text.encode())
        for name, text in said.items()
        if leaks(attacked.facts["secrets"], text.encode())
    } == {}


def belongs(path: Path, facts: dict[str, Any]) -> set[str]:
    """The secrets whose own place a file is."""
    home, name = Path(facts["home"]), path.name
    if path.parent == home / "tokens":
        return {f"token {name}"}
    if name == "site.json" and path.parent == home:
        return {"site secret"}
    if name.endswith(".key") and home in path.parents:
        return {f"TLS {name}"}
    if path.parent == Path(facts["jupyter"]) / "run" and name.startswith("kernel-"):
        return {"kernel HMAC", "kernel curve_secretkey", "kernel curve_publickey"}
    if path.parent == Path(facts["jupyter"]) / "run" and name.startswith("jpserver-"):
        return {"jupyter"}
    return set()


def test_no_secret_in_any_file_but_its_own(attacked: Attacked) -> None:
    facts = attacked.facts
    found, seen = {}, 0
    for root in (facts["root"], facts["runtime"], facts["jupyter"]):
        for path in Path(root).rglob("*"):
            if not path.is_file() or path.is_symlink() or path.name == "backup.tar.gz":
                continue
            seen += 1
            names = set(leaks(facts["secrets"], path.read_bytes())) - belongs(path, facts)
            if names:
                found[str(path)] = sorted(names)
    assert seen > 60
    assert found == {}


def test_a_backup_holds_the_sites_identity_and_no_token(attacked: Attacked) -> None:
    """The site's secret proves to clients that the service is theirs; a token in an archive could be used."""
    archive = Path(attacked.facts["root"]) / "backup.tar.gz"
    assert archive.stat().st_mode & 0o077 == 0
    assert not leaks(attacked.facts["secrets"], archive.read_bytes())
    found: dict[str, list[str]] = {}
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(archive.read_bytes()))) as members:
        for member in members:
            if (file := members.extractfile(member)) and (names := leaks(attacked.facts["secrets"], file.read())):
                found[member.name] = names
    assert found == {"site.json": ["site secret"]}

"""What `himalia doctor` has to say about each trouble: with a service that runs, and without one."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from himalia import __version__
from tests.site.lab import Lab
from tests.site.troubles import (
    damaged,
    distribution,
    few_files,
    halted,
    kernelspec,
    little_memory,
    mode,
    moved,
    sql,
    state,
    stranger,
    taken,
    variables,
    without_runtime,
    written,
)

Making = AbstractContextManager[object]

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
    """A trouble: the check that names it, how it is made, words of the sentence and of the hint, which checks it
    makes impossible, and which others rightly find something too."""

    check: str
    make: Callable[[Lab], Making]
    says: str
    hint: str
    silences: tuple[str, ...] = ()
    also: tuple[str, ...] = ()


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
    "runtime folder gone": Case(
        "runtime folder", without_runtime, "is gone", "enable-linger", silences=ASKED, also=("service",)
    ),
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

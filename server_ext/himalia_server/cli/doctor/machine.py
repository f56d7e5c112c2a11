"""The machine and this Python: what Himalia needs of them."""

from __future__ import annotations

import codecs
import locale
import os
import resource
import shlex
import shutil
import sys
import urllib.request
from importlib import metadata
from pathlib import Path

from himalia import __version__

from ..output import size
from .finding import Place, Verdict, existing, trouble, well

FREE_BYTES = 1 << 30
FREE_INODES = 10_000
MEMORY_BYTES = 2 << 30
OPEN_FILES = 512
LOOPBACK = "127.0.0.1"


def python(_place: Place) -> Verdict:
    """This Python is one that Himalia runs on."""
    from packaging.specifiers import SpecifierSet

    version = ".".join(str(part) for part in sys.version_info[:3])
    try:
        needed = str(metadata.metadata("himalia").json.get("requires_python") or "")
    except metadata.PackageNotFoundError:
        needed = ""  # told by `packages`
    if not SpecifierSet(needed or ">=3.11").contains(version):
        return trouble(
            f"{version} in {sys.prefix}; Himalia {__version__} needs {needed}",
            "Make an environment with such a Python, and install Himalia there.",
        )
    return well(f"{version} in {sys.prefix}")


def packages(_place: Place) -> Verdict:
    """What Himalia was made for is installed: by the installed distribution's own words."""
    from packaging.requirements import Requirement

    try:
        distribution = metadata.distribution("himalia")
    except metadata.PackageNotFoundError:
        return trouble(
            "Himalia can be imported but is not installed, so Jupyter and MLflow do not find its parts",
            f"{_pip()} install himalia",
        )
    if distribution.version != __version__:
        return trouble(
            f"Himalia {distribution.version} is installed, but {__version__} is imported, from "
            f"{Path(__file__).parents[2]}: two copies are mixed",
            "Remove the other one (is PYTHONPATH set?), then install again: pip install --force-reinstall himalia",
        )
    wrong, missing = [], []
    needed = [Requirement(text) for text in distribution.requires or ()]
    needed = [item for item in needed if item.marker is None or item.marker.evaluate({"extra": ""})]
    for item in needed:
        try:
            version = metadata.version(item.name)
        except metadata.PackageNotFoundError:
            wrong.append(f"{item.name} is missing")
        else:
            if item.specifier.contains(version, prereleases=True):
                continue
            wrong.append(f"{item.name} is {version}, needed is {item.specifier}")
        missing.append(f"{item.name}{item.specifier}")
    if wrong:
        return trouble("; ".join(wrong), f"{_pip()} install {shlex.join(missing)}")
    return well(f"{len(needed)} are there, in versions that Himalia {__version__} works with")


def _pip() -> str:
    return f"{shlex.quote(sys.executable)} -m pip"


def text(_place: Place) -> Verdict:
    """Files and names are read as UTF-8."""
    names = {locale.getpreferredencoding(False), sys.getfilesystemencoding()}
    foreign = sorted(name for name in names if codecs.lookup(name).name != "utf-8")
    if foreign:
        return trouble(
            f"this account reads text as {', '.join(foreign)}; notebooks and their names are in UTF-8",
            "export LC_ALL=C.UTF-8 (in your profile), then himalia down, himalia up",
        )
    return well("UTF-8")


def open_files(place: Place) -> Verdict:
    """There are enough file descriptors, here and in the service."""
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < OPEN_FILES:
        return trouble(
            f"a process may open only {soft} files and connections; clusters and endpoints need {OPEN_FILES} or more",
            "ulimit -n 4096, then himalia down, himalia up from the same terminal",
        )
    may = "as many as they like" if soft == resource.RLIM_INFINITY else str(soft)
    used, limit = _files_of_service(place)
    if used is not None and limit is not None and used > 0.8 * limit:
        return trouble(
            f"the service has {used} files and connections open, and may have {limit}",
            "ulimit -n 4096, then himalia down, himalia up from the same terminal",
        )
    return well(f"{may} a process" + (f"; the service has {used}" if used is not None else ""))


def _files_of_service(place: Place) -> tuple[int | None, int | None]:
    """How many files the service has open, and how many it may have; None where the system does not tell."""
    import psutil

    identity = place.process()
    if identity is None or not hasattr(psutil.Process, "rlimit"):
        return None, None
    try:
        process = psutil.Process(identity.pid)
        limit = process.rlimit(psutil.RLIMIT_NOFILE)[0]
        return process.num_fds(), None if limit < 0 else limit
    except psutil.Error:
        return None, None


def memory(_place: Place) -> Verdict:
    """There is memory for MLflow, a cluster and a notebook."""
    import psutil

    free, where = psutil.virtual_memory().available, ""
    container = _container_memory()
    if container is not None and container < free:
        free, where = container, " in this container"
    if free < MEMORY_BYTES:
        return trouble(
            f"{size(free)} available{where}; MLflow and a small cluster take about {size(MEMORY_BYTES)}",
            "Close other programs, or use smaller clusters (himalia cluster start --workers 1).",
        )
    return well(f"{size(free)} available{where}")


def _container_memory() -> int | None:
    """Bytes that the control group of this process may still take; None when it has no limit of its own."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
        path = next(line.partition("::")[2] for line in lines if line.startswith("0::"))
        group = Path("/sys/fs/cgroup") / path.lstrip("/")
        limit = (group / "memory.max").read_text().strip()
        used = int((group / "memory.current").read_text())
        stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
    except (OSError, StopIteration, ValueError):
        return None
    # file pages that nobody uses are given back when memory is wanted
    return None if limit == "max" else max(0, int(limit) - used + int(stat.get("inactive_file", 0)))


def proxies(_place: Place) -> Verdict:
    """No proxy stands between this machine's programs."""
    set_ = {scheme: url for scheme, url in urllib.request.getproxies().items() if scheme in ("http", "all")}
    if set_ and not urllib.request.proxy_bypass(LOOPBACK):
        names = " and ".join(f"{scheme.upper()}_PROXY" for scheme in sorted(set_))
        return trouble(
            f"{names} is set, and NO_PROXY does not name {LOOPBACK}: MLflow and clients of endpoints would ask the "
            "proxy for services of this machine",
            f"export NO_PROXY={LOOPBACK},localhost (and no_proxy), then start JupyterLab anew",
        )
    return well("set, but not for this machine" if set_ else "none")


def disk(place: Place) -> Verdict:
    """There is room on the site's disk."""
    folder = existing(place.home)
    free, inodes = shutil.disk_usage(folder).free, os.statvfs(folder)
    if free < FREE_BYTES:
        return trouble(
            f"{size(free)} free for {place.home}; runs, models and databases need room",
            f"Free some space there: du -sh {shlex.quote(str(folder))}/* shows what is large.",
        )
    if inodes.f_files and inodes.f_favail < FREE_INODES:
        return trouble(
            f"only {inodes.f_favail} more files can be made on the disk of {place.home}, though {size(free)} are free",
            "Remove folders with very many small files from that disk.",
        )
    return well(f"{size(free)} free")


def file_system(place: Place) -> Verdict:
    """SQLite lies on a local disk."""
    from ...store import NETWORK_FILE_SYSTEMS, file_system_type

    kind = file_system_type(existing(place.home))
    if kind in NETWORK_FILE_SYSTEMS and not (place.settings and place.settings.database_url):
        return trouble(
            f"{place.home} lies on a network file system ({kind}), where SQLite can lose data",
            "Set HIMALIA_HOME to a folder on a local disk, or use PostgreSQL (url under [database] in settings.toml).",
        )
    return well(kind or "unknown to this system")

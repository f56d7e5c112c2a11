"""What a zygote knows of itself: whether it may fork, whether its environment is still the one it imported."""

from __future__ import annotations

import json
import os
import site
import sys
import sysconfig
import threading
from typing import Any

NATIVE_THREADS = frozenset({"jemalloc_bg_thd"})
"""Threads that libraries start when they are loaded and that survive a fork: jemalloc stops and restarts its own."""
ACCELERATORS = ("libcuda.so", "libcudart", "libamdhip64", "libhsa-runtime64", "libtpu", "libnrt.so", "libze_loader")
"""A process that has loaded one of these must not fork: the driver's state does not survive it."""
LIBRARIES = ("site-packages", "dist-packages")


def in_the_way() -> str | None:
    """Why this process must not fork now, or None."""
    named = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
    if named:
        return f"a preloaded module has started threads ({', '.join(named)})"
    native = []
    for task in os.listdir("/proc/self/task"):
        if int(task) == os.getpid():
            continue
        try:
            with open(f"/proc/self/task/{task}/comm", encoding="utf-8", errors="replace") as file:
                native.append(file.read().strip())
        except OSError:
            continue  # it has ended
    strange = sorted(set(native) - NATIVE_THREADS)
    return f"a preloaded library has started threads ({', '.join(strange)})" if strange else None


def accelerators() -> str | None:
    """The accelerator's library that is loaded, or None."""
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as file:
        loaded = file.read()
    return next((name for name in ACCELERATORS if f"/{name}" in loaded), None)


def stamp() -> dict[str, int]:
    """When the interpreter and the folders of installed packages were last changed, in ns; 0 for what is absent.

    Installing, upgrading or removing a package changes the folder that it lies in.
    """
    places = [sys.executable, os.path.realpath(sys.executable), os.path.join(sys.prefix, "pyvenv.cfg")]
    if site.ENABLE_USER_SITE:
        places.append(site.getusersitepackages())
    places += [folder for folder in sys.path if os.path.basename(folder) in LIBRARIES]
    return {place: _changed(place) for place in places}


def sources() -> dict[str, int]:
    """The files of imported modules that are not installed (an editable install, PYTHONPATH), and when they changed."""
    standard = tuple(sysconfig.get_paths()[name] + os.sep for name in ("stdlib", "platstdlib"))
    found = {}
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if not isinstance(file, str) or any(f"{os.sep}{name}{os.sep}" in file for name in LIBRARIES):
            continue
        if not file.startswith(standard):
            found[file] = _changed(file)
    return found


def changed(before: dict[str, int]) -> str | None:
    """The first path of a stamp that is no more what it was, or None."""
    return next((place for place, when in before.items() if _changed(place) != when), None)


def _changed(place: str) -> int:
    try:
        return os.stat(place).st_mtime_ns
    except OSError:
        return 0


def shadowed(names: set[str], folders: list[str]) -> str | None:
    """A module in *folders* that an ordinary kernel would import in place of a preloaded one of *names*, or None."""
    for folder in folders:
        for name in names:
            for path in (f"{folder}/{name}.py", f"{folder}/{name}/__init__.py"):
                if os.path.isfile(path) and getattr(sys.modules.get(name), "__file__", None) != path:
                    return path
    return None


def memory() -> dict[str, int]:
    """Bytes of this process: resident, with shared pages counted in parts (pss), its own alone (uss)."""
    kilobytes: dict[str, int] = {}
    try:
        with open("/proc/self/smaps_rollup", encoding="ascii") as file:
            for line in file:
                words = line.split()
                if len(words) == 3 and words[2] == "kB":
                    kilobytes[words[0]] = int(words[1])
    except OSError:
        return {}
    own = kilobytes.get("Private_Clean:", 0) + kilobytes.get("Private_Dirty:", 0)
    return {
        "rss_bytes": kilobytes.get("Rss:", 0) * 1024,
        "pss_bytes": kilobytes.get("Pss:", 0) * 1024,
        "uss_bytes": own * 1024,
    }


def write_facts(path: str, facts: dict[str, Any]) -> None:
    """Replace the file of facts in one step; a folder that has gone is no error."""
    draft = f"{path}.{os.getpid()}"
    try:
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            json.dump(facts, file, indent=1)
        os.replace(draft, path)
    except FileNotFoundError:
        return

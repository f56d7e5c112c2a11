"""How the next kernel of a project starts: what its zygote has imported, how long that took, what it costs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from himalia_kernels.zygote import DEFAULT_PRELOAD, unsupported
from himalia_kernels.zygotes import all_facts

from .models import KernelStartView, PreloadView


def kernel_start(folder: Path, python: str, preload: Sequence[str] | None) -> KernelStartView:
    """What the zygotes in *folder* say of the one for *python* and *preload* (None: the default list)."""
    wanted = list(DEFAULT_PRELOAD if preload is None else preload)
    if reason := unsupported() or (None if wanted else "himalia.toml has nothing imported beforehand"):
        return _nothing("off", reason, wanted)
    # stages and notebooks may have one each; the newest speaks for them
    alike = [one for one in all_facts(folder) if one["python"] == python and one["preload"] == wanted]
    facts = next((one for one in alike if one["state"] != "stale"), None)
    if facts is None:
        return _nothing("none", "the imports begin with the next kernel, and those after it are forked", wanted)
    return KernelStartView(
        state=facts["state"],
        reason=facts["refused"],
        modules=[_module(name, facts) for name in wanted],
        seconds=facts["seconds"],
        bytes=facts["memory"].get("uss_bytes"),
        forks=facts["forks"],
        kernels=len(facts["kernels"]),
    )


def _nothing(state: Literal["none", "off"], reason: str, wanted: list[str]) -> KernelStartView:
    modules = [PreloadView(name=name, seconds=None, problem=None) for name in wanted]
    return KernelStartView(state=state, reason=reason, modules=modules, seconds=None, bytes=None, forks=0, kernels=0)


def _module(name: str, facts: dict[str, Any]) -> PreloadView:
    problem = "not installed" if name in facts["absent"] else facts["failed"].get(name)
    return PreloadView(name=name, seconds=facts["import_seconds"].get(name), problem=problem)

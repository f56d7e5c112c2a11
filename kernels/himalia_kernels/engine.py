"""The papermill engine ``himalia``: ``papermill --engine himalia …``, or ``engine_name="himalia"`` in Python.

papermill loads its engines while it is itself being imported, so the class, which derives from one of
papermill's, is defined in a module of its own and looked up here on demand: whichever is imported first,
it works.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from himalia_kernels._execution import HimaliaEngine

__all__ = ["HimaliaEngine"]


def __getattr__(name: str) -> Any:
    if name != "HimaliaEngine":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import papermill.engines  # noqa: F401 (complete before the class is made)

    from himalia_kernels._execution import HimaliaEngine

    return HimaliaEngine

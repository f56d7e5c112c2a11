"""What kernels and stages of a project are given: kernelspecs, environment, variables, limits, tokens."""

from .grants import COMPONENTS, Kernels
from .models import EnvironmentGrant, KernelCreate, KernelGrant, KernelStartView
from .specs import language_notices, remove_specs, write_specs
from .used import SHARED, Used

__all__ = [
    "COMPONENTS",
    "SHARED",
    "EnvironmentGrant",
    "KernelCreate",
    "KernelGrant",
    "KernelStartView",
    "Kernels",
    "Used",
    "language_notices",
    "remove_specs",
    "write_specs",
]

"""Components: published versions of a project's modules, which other projects import without installing them."""

from .housekeeping import tidy
from .manager import Components
from .modules import Shadow, shadowed
from .routes import router

__all__ = ["Components", "Shadow", "router", "shadowed", "tidy"]

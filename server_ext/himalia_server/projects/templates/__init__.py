"""What a new project can be made from: the templates that come with Himalia, and the team's own."""

from .installed import copied, notebooks_folder
from .library import Library
from .models import TemplateAdd, TemplateList, TemplateView

__all__ = ["Library", "TemplateAdd", "TemplateList", "TemplateView", "copied", "notebooks_folder"]

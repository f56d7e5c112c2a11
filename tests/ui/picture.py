"""The README's picture, made by the tests from what they see."""

from __future__ import annotations

import os

from PIL import Image

from tests.ui.page import ROOT, SCREENSHOTS

LIMIT = 150_000
"""Bytes of a picture in the repository."""


def keep(name: str) -> None:
    """Make the screenshots *name* the README's pictures, when that is wanted (`python -m tests ui --update-readme`)."""
    if os.environ.get("HIMALIA_UPDATE_README") != "1":
        return
    for theme in ("light", "dark"):
        picture = Image.open(SCREENSHOTS / f"{name}-{theme}.png").convert("RGB")
        target = ROOT / "notebooks" / "guide" / f"overview-{theme}.png"
        picture.quantize(128, dither=Image.Dither.NONE).save(target, optimize=True)
        assert target.stat().st_size <= LIMIT, f"{target} has {target.stat().st_size} bytes"

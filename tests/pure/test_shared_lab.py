"""Browser tests share one service: two that make a project of the same name fail only when both are run."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

UI = Path(__file__).parents[1] / "ui"


def test_no_two_browser_tests_make_a_project_of_the_same_name() -> None:
    texts = [file.read_text() for file in sorted(UI.glob("*.py"))]
    made = Counter(name for text in texts for name in re.findall(r'\blab\.project\(\s*"([^"]+)"', text))
    assert made, f"no project is made in {UI} any more: this test looks for the wrong words"
    assert not [name for name, times in made.items() if times > 1]

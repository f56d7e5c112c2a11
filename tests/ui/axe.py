"""Accessibility by axe-core: serious and critical findings in Himalia's own widgets fail."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page

from tests.frontend import LABEXTENSION

AXE = LABEXTENSION / "node_modules" / "axe-core" / "axe.min.js"
SERIOUS = {"serious", "critical"}
RUN = """
async roots => {
  const found = await axe.run({ include: roots.map(root => [root]) }, { resultTypes: ['violations'] });
  return found.violations;
}
"""


def findings(page: Page, *roots: str) -> list[str]:
    """What axe finds below the CSS selectors *roots*, one line a place."""
    if not page.evaluate("typeof axe === 'object'"):
        page.evaluate(AXE.read_text())
    violations: list[dict[str, Any]] = page.evaluate(RUN, list(roots))
    return [
        f"{violation['id']} ({violation['impact']}): {node['html'][:200]}\n    {node['failureSummary']}"
        for violation in violations
        if violation["impact"] in SERIOUS
        for node in violation["nodes"]
    ]

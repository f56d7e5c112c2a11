"""A site with everything running, for the tests that harm its parts one by one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.site.lab import Lab, running_lab
from tests.soak.kit import furnish


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """Furnished once for a module."""
    with running_lab() as made:
        furnish(made)
        yield made

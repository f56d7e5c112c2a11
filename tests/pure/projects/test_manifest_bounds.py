"""Manifests that are meant to harm, or that a program has written badly: told in bounded time and memory."""

from __future__ import annotations

import resource
from collections.abc import Iterator

import pytest

from himalia_server.projects.manifest import ManifestFault
from himalia_server.projects.manifest.checks import check_text
from himalia_server.projects.manifest.editing import edit_text
from himalia_server.projects.manifest.faults import MOST, examine
from himalia_server.projects.manifest.models import ManifestEdit

HEAD = '[project]\nname = "m"\n'
GIB = 1 << 30


@pytest.fixture(autouse=True)
def bounded() -> Iterator[None]:
    """Memory that this process may take; a mistake ends in MemoryError, not in the end of other processes."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (6 * GIB, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (".".join(["a"] * 100_000) + " = 1", "more than 40 parts"),
        ("[" + ".".join(["a"] * 100_000) + "]", "more than 40 parts"),
        ("[kernel]\ncpus = " + "9" * 5000, "limit"),
        ('[kernel]\nmemory = "' + "9" * 400 + ' GiB"', "is not a size"),
        ('[kernel]\nmemory = "0.0000001 kB"', "is not a size"),
        ('[stages.a]\nnotebook = "a.ipynb"\ntimeout = "' + "9" * 400 + 'd"', "more than ten years"),
    ],
)
def test_what_no_machine_can_hold_is_a_fault_like_others(text: str, said: str) -> None:
    _, faults = examine(HEAD + text + "\n")
    assert [said in fault.message for fault in faults] == [True]
    assert check_text(HEAD + text + "\n")
    with pytest.raises(ManifestFault):
        edit_text(HEAD + ".".join(["a"] * 100_000) + " = 1", [ManifestEdit(op="remove", path=["a"])])


@pytest.mark.parametrize(
    "text",
    [
        "[kernel]\n" + "".join(f"k{number} = 1\n" for number in range(20_000)),
        "".join(f'[stages.s{number}]\nnotebook = "a.ipynb"\nafter = ["gone"]\n' for number in range(2_000)),
        "".join(f'[stages.s{number}]\nnotebook = "a.ipynb"\noutputs = ["a.ipynb"]\n' for number in range(2_000)),
    ],
)
def test_of_very_many_faults_the_first_are_told(text: str) -> None:
    _, faults = examine(HEAD + text)
    assert len(faults) == MOST


def test_very_many_stages_are_no_fault() -> None:
    stages = [
        f'[stages.s{number}]\nnotebook = "n.ipynb"\noutputs = ["o/{number}"]\nafter = ["s{number + 1}"]\n'
        for number in range(5_000)
    ]
    manifest, faults = examine(HEAD + "".join(stages) + '[stages.s5000]\nnotebook = "n.ipynb"\n')
    assert manifest is not None
    assert len(manifest.stages) == 5001
    assert faults == []

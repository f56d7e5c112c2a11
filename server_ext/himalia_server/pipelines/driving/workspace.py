"""The folder that a stage runs in: the code, and the inputs that it declares."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from ...content import ContentStore
from ...projects import StageTable
from ..keys import CodeReader, NotebookUnfit
from ..outputs import digest_in


def lay_out(
    content: ContentStore,
    reader: CodeReader,
    files: Mapping[str, str],
    stage: StageTable,
    declared: set[str],
    produced: Mapping[str, str],
    work: Path,
) -> dict[str, str]:
    """Make *work* anew for *stage*; returns path → digest of what lies in it.

    *files*: the run's snapshot; *declared*: inputs of any stage; *produced*: outputs of stages before it. Other
    notebooks than its own are left out unless its code names them: a project has a thousand of them.

    Raises:
        MissingContent: a file is not in the content store, or damaged. OSError: the disk is full.
    """
    shutil.rmtree(work, ignore_errors=True)
    text = _text(reader, files[stage.notebook])
    laid: dict[str, str] = {}
    for path, digest in files.items():
        if path in declared and path not in stage.inputs:
            continue
        if path.endswith(".ipynb") and path not in (stage.notebook, *stage.inputs) and Path(path).stem not in text:
            continue
        laid[path] = digest
    made = {path: found for path in stage.inputs if (found := digest_in(content, produced, path))}
    laid |= made
    for path, digest in laid.items():
        content.materialise(digest, work / path, verify=path in made)
    for path in stage.outputs:
        (work / path).parent.mkdir(parents=True, exist_ok=True)
    return laid


def _text(reader: CodeReader, digest: str) -> str:
    try:
        return "\n".join(reader.notebook(digest).sources)
    except NotebookUnfit:
        return ""

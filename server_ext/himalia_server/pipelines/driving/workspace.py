"""The folder that a stage runs in: the code, and the inputs that it declares."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from ...content import ContentStore, FileEntry, is_tree
from ...projects import StageTable, output_of
from ...service.site import private_folder, write_private
from ..keys import CodeReader, NotebookUnfit
from ..outputs import digest_in

LAYOUT = "layout.json"
"""In the folder of a stage that runs on a worker: what it is run with, file by file."""


def lay_out(
    content: ContentStore,
    laid: Mapping[str, str],
    stage: StageTable,
    produced: Mapping[str, str],
    work: Path,
) -> None:
    """Make *work* anew for *stage*, with what `chosen` said.

    Raises:
        MissingContent: a file is not in the content store, or damaged. OSError: the disk is full.
    """
    shutil.rmtree(work, ignore_errors=True)
    for path, digest in sorted(laid.items()):  # a folder before what is declared besides, of what lies in it
        made = output_of(path, produced) is not None
        content.materialise(digest, work / path, verify=made, exact=is_tree(digest) and (work / path).exists())
    for path in stage.outputs:
        (work / path).parent.mkdir(parents=True, exist_ok=True)


def lay_out_apart(content: ContentStore, laid: Mapping[str, str], project: str, work: Path) -> None:
    """As `lay_out`, for a worker: *work* gets the folders alone, and the list of files lies beside it.

    Raises:
        MissingContent: the list of a folder's files is not in the content store, or damaged.
    """
    shutil.rmtree(work, ignore_errors=True)
    private_folder(work)
    files: dict[str, str] = {}
    folders = [path for path, digest in laid.items() if is_tree(digest)]
    for path, digest in sorted(laid.items()):
        files |= {path: digest} if not is_tree(digest) else _flat(content, path, content.tree(digest))
    for path in folders:
        (work / path).mkdir(parents=True, exist_ok=True)
    for path in files:
        (work / path).parent.mkdir(parents=True, exist_ok=True)
    write_private(work.parent / LAYOUT, json.dumps({"project": project, "files": files, "folders": folders}))


def _flat(content: ContentStore, base: str, tree: Mapping[str, FileEntry]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, entry in tree.items():
        path = f"{base}/{name}"
        found |= _flat(content, path, content.tree(entry.digest)) if is_tree(entry.digest) else {path: entry.digest}
    return found


def chosen(
    content: ContentStore,
    reader: CodeReader,
    files: Mapping[str, str],
    stage: StageTable,
    declared: set[str],
    produced: Mapping[str, str],
) -> dict[str, str]:
    """What *stage* is run with: path → digest.

    *files*: the run's snapshot; *declared*: inputs of any stage; *produced*: outputs of stages before it. Other
    notebooks than its own are left out unless its code names them: a project has a thousand of them. A folder that is
    an input is what its digest says, and one that is an output is empty, whatever lies there as code; only the notebook
    itself stays the one that its key is about.

    Raises:
        MissingContent: the list of a folder's files is not in the content store, or damaged.
    """
    text = _text(reader, files[stage.notebook])
    laid: dict[str, str] = {}
    inputs = set(stage.inputs)
    whole = {
        *inputs,
        *stage.outputs,
        *(path for path, digest in files.items() if is_tree(digest) and path not in declared),
    }
    for path, digest in files.items():
        around = output_of(path, whole)
        if around is not None and path not in (around, stage.notebook):
            continue
        if path not in inputs and (path in declared or path in stage.outputs) and path != stage.notebook:
            continue
        if path.endswith(".ipynb") and path not in (stage.notebook, *stage.inputs) and Path(path).stem not in text:
            continue
        laid[path] = digest
    return laid | {path: found for path in stage.inputs if (found := digest_in(content, produced, path))}


def _text(reader: CodeReader, digest: str) -> str:
    try:
        return "\n".join(reader.notebook(digest).sources)
    except NotebookUnfit:
        return ""

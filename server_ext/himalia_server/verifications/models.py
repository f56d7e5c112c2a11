"""What crosses the wire about verifications. Times are UTC seconds since the epoch; cells are code cells, from 1."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from ..projects import RelativePath


class VerificationCreate(BaseModel):
    """Execute a notebook in a clean kernel, on a snapshot, and compare each cell with what the notebook shows."""

    model_config = ConfigDict(
        extra="forbid", strict=True, json_schema_extra={"examples": [{"notebook": "02-train.ipynb", "rtol": 1e-4}]}
    )
    notebook: Annotated[RelativePath, Field(description="Its path in the project.")]
    rtol: Annotated[
        float | None,
        Field(description="How far numbers may be apart, relatively, where the notebook declares nothing.", ge=0, le=1),
    ] = None
    second_run: Annotated[
        bool, Field(description="When something differs, run once more to tell whether two clean runs agree.")
    ] = True


class DifferenceView(BaseModel):
    """Where two outputs part. `part`: stdout, stderr, error, display or a MIME type; `line` counts from 1."""

    part: str
    detail: str
    saved: str | None
    now: str | None
    line: int | None


class CauseView(BaseModel):
    """A likely cause. `kind`: execution_order, undefined_name, hidden_state, randomness, registry, wall_clock,
    set_order, file_order, completion_order, network, changed_file, missing_file, environment, nondeterminism or
    unknown.

    `certainty`: sure, likely or possible. `cell`: where it lies; null: in no single cell.
    """

    kind: str
    certainty: str
    cell: int | None
    evidence: str
    advice: str


class FirstDifference(BaseModel):
    """The first cell that differs. `index`: its place among all cells, from 0; `label`: its first line."""

    number: int
    index: int
    cell_id: str | None
    label: str
    status: str
    differences: list[DifferenceView]


class VerificationView(BaseModel):
    """One verification.

    `status`: running, ended, failed (it could not be carried out: `reason`) or cancelled. `verdict`: identical,
    within_tolerance, differs, failed (it stops at an error that the notebook does not show) or not_comparable; null:
    none yet. `current`: the notebook is still the one that it is about. `counts`: code cells by status.
    `nondeterministic`: two clean runs differ from one another; null: there was one. `runs`: that executed it.
    `cell` of `cells`: where it is, while it runs.
    """

    id: str
    project: str
    notebook: str
    status: str
    verdict: str | None
    current: bool
    counts: dict[str, int]
    first: FirstDifference | None
    causes: list[CauseView]
    nondeterministic: bool | None
    rules: list[str]
    reason: str | None
    notebook_digest: str
    snapshot: str | None
    environment: str | None
    inputs: list[str]
    runs: list[str]
    cell: int
    cells: int
    waiting: str | None
    created_by: str
    created_at: float
    ended_at: float | None


class StageVerdict(BaseModel):
    """A stage of a run that shows what the notebook shows now: it is verified by construction.

    `verdict`: identical or within_tolerance. `params`: that the stage was run with.
    """

    run: str
    stage: str
    verdict: str
    params: dict[str, Any]
    environment: str | None
    ended_at: float | None


class VerificationList(BaseModel):
    """Verifications, newest first. `next`: pass it as `cursor` for older ones; null at the end.

    `by_stage`: of a list of one notebook, the newest stage that vouches for the notebook as it is now; null: none does.
    """

    items: list[VerificationView]
    next: str | None
    by_stage: StageVerdict | None = None


class OutputView(BaseModel):
    """One output, as nbformat has it, bounded: `cut` says what is left out.

    HTML and SVG come from whoever wrote the notebook: show them through JupyterLab's sanitizer only. Scripts and
    widgets are left out. Images but SVG are base64.
    """

    output_type: str
    name: str | None
    text: str | None
    data: dict[str, Any]
    cut: str | None


class CellView(BaseModel):
    """A code cell and its twin. `saved`, `now`: outputs, only of a cell that is not identical.

    `second`: outputs of a second clean run, of cells that it shows otherwise than the first. `rules`: names of what was
    taken as meaningless (times, addresses); `worst`: the largest relative difference that was tolerated.
    """

    number: int
    index: int
    cell_id: str | None
    source: str
    status: str
    differences: list[DifferenceView]
    rules: list[str]
    notes: list[str]
    worst: float
    saved: list[OutputView]
    now: list[OutputView]
    second: list[OutputView]


class ToleranceView(BaseModel):
    """How far outputs may be apart. `declared`: the notebook says so itself."""

    rtol: float
    atol: float
    integers: bool
    pixels: float
    declared: bool


class VerificationDetail(VerificationView):
    """With all code cells, once it has ended."""

    tolerance: ToleranceView | None
    compared: list[CellView]

"""What crosses the wire about deployments. Times are UTC seconds since the epoch."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from ..service.inputs import VISIBLE, Form, Name, Version, visible

MODEL = Form(f"models:/{VISIBLE}{{1,250}}", "models:/NAME@ALIAS or models:/NAME/VERSION")


class DeploymentCreate(BaseModel):
    """Deploy a registered model version behind a stable endpoint, or give an endpoint of ours a new version."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={"examples": [{"name": "flight-delay", "model": "models:/flight-delay@champion"}]},
    )
    name: Name
    model: Annotated[str, Field(description="A model of the project."), MODEL]


class DeploymentConfirm(BaseModel):
    """The version that the person saw waiting; a request that came later is not meant."""

    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra={"examples": [{"version": "3"}]})
    version: Version


class RevisionView(BaseModel):
    """One model version behind a deployment."""

    id: str
    number: int
    model_name: str
    model_version: str
    model_digest: str
    weight: int
    state: str
    error: str | None
    restarts: int


class DeploymentView(BaseModel):
    """An endpoint. `url` takes POSTs as MLflow's /invocations does, with a deployment token."""

    name: str
    project: str
    state: str
    error: str | None
    model_name: str
    model_version: str
    requested_version: Annotated[str | None, Field(description="Asked for; waits for somebody who may deploy.")]
    url: str | None
    signature: dict[str, Any] | None
    revisions: list[RevisionView]
    created_by: str
    created_at: float


class DeploymentList(BaseModel):
    """Endpoints of a project. `next`: pass it as `cursor` for the rest; null at the end."""

    items: list[DeploymentView]
    next: str | None


class EndpointExample(BaseModel):
    """What a form to try an endpoint is made from: the signature and an example row, as the model was saved."""

    name: str
    revision: str | None
    model: Any
    signature: dict[str, Any] | None
    example: Any


class Prediction(BaseModel):
    """An answer of the endpoint. `milliseconds`: from the service's question to the gateway's answer."""

    predictions: Any
    milliseconds: float


class KeyCreate(BaseModel):
    """A new predict-only token."""

    model_config = ConfigDict(
        extra="forbid", strict=True, json_schema_extra={"examples": [{"label": "web shop", "days": 90}]}
    )
    label: Annotated[str, visible(100)]
    days: Annotated[float | None, Field(gt=0, le=3650, description="Valid so long; absent: until revoked.")] = 90


class KeyView(BaseModel):
    """A deployment token, without its text."""

    id: str
    label: str
    created_by: str
    created_at: float
    expires_at: float | None


class KeyList(BaseModel):
    """Valid tokens of a deployment. `next`: pass it as `cursor` for the rest; null at the end."""

    items: list[KeyView]
    next: str | None


class KeyCreated(KeyView):
    """The only time that the token is shown."""

    token: str

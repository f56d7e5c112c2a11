"""What crosses the wire about notifications. Times are UTC seconds since the epoch."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from ..service.inputs import Form, Name
from .addresses import Refused, checked_url

MOST_ADDRESSES = 20


def _url(text: str) -> str:
    try:
        return checked_url(text)
    except Refused as error:
        raise ValueError(str(error)) from error


class WebhookTarget(BaseModel):
    """A URL that gets a signed POST. It may hold a key, and is never shown again as a whole."""

    model_config = ConfigDict(extra="forbid", strict=True)
    kind: Literal["webhook"]
    url: Annotated[str, AfterValidator(_url), Field(max_length=2000, repr=False)]


Address = Annotated[
    str,
    Form(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]{1,190}", "an e-mail address, such as ann@example.org"),
]


class EmailTarget(BaseModel):
    """Addresses that get an e-mail, by the mail server of the site's settings."""

    model_config = ConfigDict(extra="forbid", strict=True)
    kind: Literal["email"]
    to: Annotated[list[Address], Field(min_length=1, max_length=MOST_ADDRESSES)]


Target = Annotated[WebhookTarget | EmailTarget, Field(discriminator="kind")]
_EXAMPLE: dict[str, Any] = {"name": "team", "target": {"kind": "email", "to": ["team@example.org"]}}


class NotifierCreate(BaseModel):
    """Somebody more to tell of failures and recoveries of the project's schedules."""

    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra={"examples": [_EXAMPLE]})
    name: Name
    target: Target


class NotifierView(BaseModel):
    """Who is told. `target`: addresses, or the URL's scheme and host. `pending`: notices on their way.

    `problem`: why the last one did not arrive; null: it did, or there was none yet.
    """

    name: str
    kind: str
    target: str
    created_by: str
    created_at: float
    last_delivered_at: float | None
    pending: int
    problem: str | None


class NotifierCreated(NotifierView):
    """A new one. `secret`: what webhooks are signed with, shown this once; null for e-mail, and when repeated."""

    secret: Annotated[str | None, Field(repr=False)]


class NotifierList(BaseModel):
    """A project's notifiers, by name."""

    items: list[NotifierView]


class Tested(BaseModel):
    """What came of a test. `error`: why it did not arrive."""

    delivered: bool
    error: str | None


class NoticeView(BaseModel):
    """A failure or a recovery. `read`: by the caller. `text`: for a person; `link`: to the failed cell in JupyterLab,
    relative to where JupyterLab is."""

    id: str
    kind: str
    created_at: float
    read: bool
    text: str
    project: str
    schedule: str | None
    run: str | None
    status: str | None
    stage: str | None
    cell: int | None
    error: str | None
    link: str | None


class NoticeList(BaseModel):
    """Notices, newest first. `unread`: of the newest 1,000. `next`: pass it as `cursor` for older ones."""

    items: list[NoticeView]
    unread: int
    next: str | None


class NoticesRead(BaseModel):
    """Mark all notices up to this one, and itself, as read by the caller. `only`: itself alone."""

    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra={"examples": [{"until": "0199f0c1a2b"}]})
    until: Annotated[str, Form("[0-9a-f]{8,32}", "the id of a notice")]
    only: bool = False

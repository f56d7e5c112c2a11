"""What texts from outside may look like, so that each fits the store, an address and a log line."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Path
from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

VISIBLE = r"[^\x00-\x1f\x7f]"
"""A character that is no control character; PostgreSQL takes no NUL, and a log line no line break."""
_SURROGATE = re.compile(r"[\ud800-\udfff]")
BIGGEST = 2**63 - 1
"""The largest number that a column of numbers holds; PostgreSQL does not even compare with a larger one."""


@dataclass(frozen=True)
class Form:
    """Metadata of a `str` in a model or route: it must match *pattern* as a whole; *words* say so to a person."""

    pattern: str
    words: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Checks after the type."""
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """The pattern, for readers of the OpenAPI document."""
        return handler(schema) | {"pattern": f"^(?:{self.pattern})$"}

    def check(self, text: str) -> str:
        """The text itself.

        Raises:
            PydanticCustomError: it has another form.
        """
        # half of a pair of UTF-16 is no text, and cannot be written anywhere
        if re.fullmatch(self.pattern, text, re.DOTALL) is None or _SURROGATE.search(text):
            raise PydanticCustomError("form", "must be {words}", {"words": self.words})
        return text


def visible(longest: int) -> Form:
    """A line of text of at most *longest* characters."""
    return Form(f"{VISIBLE}{{1,{longest}}}", f"1 to {longest} characters, none of them a control character")


def printable(text: str) -> str:
    """*text* without what a store or a page cannot show."""
    return _SURROGATE.sub("", re.sub(r"[\x00-\x08\x0b-\x1f\x7f]", "", text))


Slug = Annotated[str, Path(description="The project's name."), visible(63)]
"""In an address, as all below: what does not exist is 404, so that only what can be no name at all is 422."""
Known = Annotated[str, visible(63)]
Name = Annotated[
    str, Form("[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", "1 to 63 small letters, digits and -, without - at its ends")
]
"""Of a new cluster or endpoint."""
Version = Annotated[str, Form("[0-9]{1,9}", "the number of a version, as text")]
"""Of a registered model."""

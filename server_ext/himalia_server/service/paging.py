"""Pages of lists: at most `limit` items, and where to go on. What is added or deleted meanwhile moves no other item."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated, TypeVar

from fastapi import Query

from .inputs import Form, visible

T = TypeVar("T")
_Place = Annotated[
    str, Form("[0-9a-f]{8,32}", "the `next` of the page before, unchanged; leave it out for the first page")
]
Cursor = Annotated[_Place | None, Query(description="`next` of the page before; absent: the first page.")]
"""Of a list in the order of creation."""
NameCursor = Annotated[
    Annotated[str, visible(255)] | None, Query(description="`next` of the page before; absent: the first page.")
]
"""Of a list in the order of names."""
Limit = Annotated[int, Query(ge=1, le=500, description="Items of a page, at most.")]
"""Of lists that are short as a rule; give it the default 200."""


def page_of(items: Iterable[T], key: Callable[[T], str], cursor: str | None, limit: int) -> tuple[list[T], str | None]:
    """The items after *cursor* in the order of *key*, which differs for each, at most *limit*; and the next cursor."""
    following = sorted((item for item in items if cursor is None or key(item) > cursor), key=key)
    page = following[:limit]
    return page, key(page[-1]) if len(following) > limit else None

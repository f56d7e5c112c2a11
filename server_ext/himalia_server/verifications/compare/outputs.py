"""The outputs of one cell, compared by kind."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from typing import Any

from .images import ImageFault, share_that_differs
from .markup import canonical
from .numbers import close, compare_texts
from .results import Difference, Part, Status, Tolerance, failing
from .rules import normalise

TEXT_LIMIT = 4_000_000
"""Characters of one output; a longer one is only compared for being equal."""
SHOWN = 400
"""Characters of a line, or of a value, that a difference tells."""
_WIDGETS = ("application/vnd.jupyter.widget-view+json", "application/javascript")
_LOADERS = ("_exec.v0+json", "_load.v0+json")
"""Ends of the types by which libraries (Bokeh, HoloViews) load themselves into the page: they show nothing."""
_TEXTS = ("text/plain", "text/markdown", "text/latex")
_MARKUP = ("text/html", "image/svg+xml")


class Comparing:
    """Compares the outputs of one cell with their twins."""

    def __init__(self, source: str, tolerance: Tolerance, places: Sequence[str] = ()) -> None:
        self.source, self.tolerance, self.places = source, tolerance, places

    def compare(self, saved: Sequence[Mapping[str, Any]], now: Sequence[Mapping[str, Any]]) -> list[Part]:
        """Each part of the outputs: what was printed, what was shown, the error."""
        parts = [part for name in ("stdout", "stderr") if (part := self._stream(name, saved, now))]
        left, right = _displays(saved), _displays(now)
        parts += [self._display(a, b) for a, b in zip(left, right, strict=False)]
        if len(left) != len(right):
            parts.append(_apart("display", _counted(left, right), _named(left), _named(right)))
        error = self._error(failing([dict(output) for output in saved]), failing([dict(output) for output in now]))
        return parts if error is None else [error, *parts]  # it tells most

    # --- what was printed

    def _stream(self, name: str, saved: Sequence[Mapping[str, Any]], now: Sequence[Mapping[str, Any]]) -> Part | None:
        a, b = _printed(saved, name), _printed(now, name)
        return self.text(name, a, b) if a or b else None

    def text(self, part: str, saved: str, now: str) -> Part:
        """Two texts: equal, equal but for what is volatile, or within the tolerance."""
        if saved == now:
            return Part(Status.IDENTICAL)
        if max(len(saved), len(now)) > TEXT_LIMIT:
            return _too_long(part, saved, now)
        found = normalise(saved, now, self.source, self.places)
        parting, worst = compare_texts(found.saved, found.now, self.tolerance)
        if parting is None:
            if worst:
                return Part(Status.WITHIN_TOLERANCE, rules=found.rules, worst=worst)
            return Part(Status.IDENTICAL, rules=found.rules or frozenset({"white-space"}))
        a, b = (None if line is None else line[:SHOWN] for line in (parting.saved, parting.now))
        if a is None or b is None:
            more, other = ("the new output", "the saved one") if a is None else ("the saved output", "the new one")
            return Part(Status.DIFFERS, Difference(part, f"{more} goes on where {other} ends", a, b, parting.line))
        return Part(Status.DIFFERS, Difference(part, f"line {parting.line} differs", a, b, parting.line))

    def _error(self, saved: Mapping[str, Any] | None, now: Mapping[str, Any] | None) -> Part | None:
        if saved is None and now is None:
            return None
        a, b = _told(saved), _told(now)
        if saved is None or now is None:
            detail = "it fails now" if saved is None else "it no longer fails"
            return _apart("error", detail, a, b)
        if saved.get("ename") != now.get("ename"):
            return _apart("error", "another error", a, b)
        found = self.text("error", str(saved.get("evalue", "")), str(now.get("evalue", "")))
        return _apart("error", "the error's message differs", a, b) if found.status is Status.DIFFERS else found

    # --- what was shown

    def _display(self, saved: Mapping[str, Any], now: Mapping[str, Any]) -> Part:
        """Two displays, in the first of their richest common forms that can be compared."""
        a, b = _forms(saved), _forms(now)
        if a == b:
            return Part(Status.IDENTICAL)
        for kind in _WIDGETS:
            if kind in a or kind in b:
                what = "a widget" if kind == _WIDGETS[0] else "JavaScript"
                return _incomparable(f"{what}: what it shows is only made in the browser")
        common = sorted(a.keys() & b.keys(), key=_richness)
        if not common:
            return _apart("display", "another kind of output", ", ".join(sorted(a)), ", ".join(sorted(b)))
        parts = [self._form(kind, a[kind], b[kind]) for kind in common]
        return _together(parts)

    def _form(self, kind: str, saved: Any, now: Any) -> Part:
        if saved == now:
            return Part(Status.IDENTICAL)
        if kind in _MARKUP:
            return self._markup(kind, _text(saved), _text(now))
        if kind == "image/png":
            return self._png(_text(saved), _text(now))
        if kind.endswith("json"):
            return self._json(kind, saved, now)
        if kind.startswith("text/") or kind in _TEXTS:
            return self.text(kind, _text(saved), _text(now))
        return _incomparable(f"{kind} differs, and is of a kind that is not looked into")

    def _markup(self, kind: str, saved: str, now: str) -> Part:
        if max(len(saved), len(now)) > TEXT_LIMIT:
            return _too_long(kind, saved, now)
        a, b = canonical(saved), canonical(now)
        if a == b:
            return Part(Status.IDENTICAL, rules=frozenset({"html-ids"}))
        parts = [self.text(kind, a.body, b.body)]
        if parts[0].status is Status.DIFFERS:
            return parts[0]
        if [mime for mime, _ in a.images] != [mime for mime, _ in b.images]:
            return _apart(kind, f"{len(a.images)} images were saved in it, {len(b.images)} are made now", None, None)
        for (mime, left), (_, right) in zip(a.images, b.images, strict=True):
            if left != right:
                parts.append(self._image(mime, left, right))
        if a.scripts != b.scripts:
            scripts = self.text(kind, a.scripts, b.scripts)
            if scripts.status is Status.DIFFERS:
                script = f"{kind}: its script differs, and what that shows is only made in the browser"
                scripts = _incomparable(script)
            parts.append(scripts)
        return _ruled(_together(parts), saved, now)

    def _image(self, mime: str, saved: str, now: str) -> Part:
        """An image that lies in HTML, in base64."""
        if mime != "image/svg+xml":
            return self._form(mime, saved, now)
        try:
            left, right = (base64.b64decode(text).decode() for text in (saved, now))
        except (binascii.Error, UnicodeDecodeError):
            return _incomparable(f"{mime} differs, and is of a kind that is not looked into")
        return self._form(mime, left, right)

    def _png(self, saved: str, now: str) -> Part:
        try:
            left, right = (base64.b64decode(text, validate=False) for text in (saved, now))
            if left == right:
                return Part(Status.IDENTICAL)
            share, a, b = share_that_differs(left, right)
        except (ImageFault, binascii.Error) as fault:
            return _incomparable(f"image/png differs, but cannot be looked into: {fault}")
        if a.size != b.size:
            return _apart("image/png", f"its size differs: {a.size} was saved, {b.size} now", a.size, b.size)
        if share == 0.0:
            return Part(Status.IDENTICAL, rules=frozenset({"image-file"}))
        if share <= self.tolerance.pixels:
            return Part(Status.WITHIN_TOLERANCE, worst=share)
        return _apart("image/png", f"{_percent(share)} of its pixels differ", None, None)

    def _json(self, kind: str, saved: Any, now: Any) -> Part:
        a, b = _decoded(saved), _decoded(now)
        worst, rules = 0.0, set[str]()
        for path, left, right in _pairs(a, b, ""):
            found = self._leaf(kind, path, left, right)
            if found.status is Status.DIFFERS:
                return found
            worst, rules = max(worst, found.worst), rules | found.rules
        status = Status.WITHIN_TOLERANCE if worst else Status.IDENTICAL
        return Part(status, rules=frozenset(rules), worst=worst)

    def _leaf(self, kind: str, path: str, saved: Any, now: Any) -> Part:
        if isinstance(saved, str) and isinstance(now, str):
            found = self.text(kind, saved, now)
            if found.status is not Status.DIFFERS:
                return found
        elif _number(saved) and _number(now):
            whole = isinstance(saved, int) and isinstance(now, int) and not self.tolerance.integers
            apart = None if whole else close(float(saved), float(now), self.tolerance)
            if apart is not None:
                return Part(Status.WITHIN_TOLERANCE if apart else Status.IDENTICAL, worst=apart)
        return _apart(kind, f"{path or 'the value'} differs", _short(saved), _short(now))


# --- helpers


def _displays(outputs: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """What was shown, in order, without what only loads a library into the page."""
    shown = [output for output in outputs if output.get("output_type") in ("display_data", "execute_result")]
    return [output for output in shown if _forms(output)]


def _forms(output: Mapping[str, Any]) -> dict[str, Any]:
    """An output's forms by MIME type, texts joined."""
    data = output.get("data") or {}
    if any(kind.endswith(_LOADERS) for kind in data):
        # the plot itself lies in the HTML beside it, when there is one
        data = {kind: value for kind, value in data.items() if kind == "text/html"}
    return {kind: _text(value) if not kind.endswith("json") else value for kind, value in data.items()}


def _printed(outputs: Sequence[Mapping[str, Any]], name: str) -> str:
    return "".join(
        _text(output.get("text", ""))
        for output in outputs
        if output.get("output_type") == "stream" and output.get("name", "stdout") == name
    )


def _text(value: Any) -> str:
    """A text as nbformat stores it: one, or a list of lines."""
    return "".join(str(part) for part in value) if isinstance(value, list) else str(value)


def _richness(kind: str) -> tuple[int, str]:
    """Text comes first: it tells best where two outputs part."""
    order = ("text/plain", "text/markdown", "text/latex", "text/html")
    return (order.index(kind) if kind in order else len(order), kind)


def _together(parts: Sequence[Part]) -> Part:
    """Several forms of one thing: any that differs decides; what cannot be compared does not when another can."""
    for part in parts:
        if part.status is Status.DIFFERS:
            return part
    notes = [part.note for part in parts if part.note]
    compared = [part for part in parts if part.status is not Status.NOT_COMPARABLE]
    # the text of a figure or of a plot's object says nothing about what it shows
    telling = [part for part in compared if part.status is not Status.IDENTICAL or part.rules] or compared
    if notes and all(part.status is Status.IDENTICAL for part in telling):
        return _incomparable("; ".join(notes))
    worst = max((part.worst for part in telling), default=0.0)
    status = Status.WITHIN_TOLERANCE if worst else Status.IDENTICAL
    rules = frozenset[str]().union(*(part.rules for part in compared))
    return Part(status, rules=rules, worst=worst, note="; ".join(notes) or None)


def _ruled(part: Part, saved: str, now: str) -> Part:
    if part.status is Status.DIFFERS or part.rules - {"white-space"} or part.worst or saved == now:
        return part
    return Part(part.status, part.difference, frozenset({"html-ids"}), part.worst, part.note)


def _pairs(saved: Any, now: Any, path: str) -> list[tuple[str, Any, Any]]:
    """The values of two JSON documents that differ, by their path; without recursion into what is equal."""
    found: list[tuple[str, Any, Any]] = []
    waiting = [(path, saved, now)]
    while waiting:
        place, a, b = waiting.pop()
        if a == b and type(a) is type(b):
            continue
        if isinstance(a, dict) and isinstance(b, dict) and a.keys() == b.keys():
            waiting += [(f"{place}.{key}" if place else str(key), a[key], b[key]) for key in reversed(list(a))]
        elif isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
            waiting += [(f"{place}[{at}]", a[at], b[at]) for at in reversed(range(len(a)))]
        else:
            found.append((place, a, b))
    return found


def _decoded(value: Any) -> Any:
    """A JSON form is stored as what it means, or as its text."""
    if isinstance(value, str):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text[:SHOWN]


def _told(error: Mapping[str, Any] | None) -> str | None:
    return None if error is None else f"{error.get('ename')}: {error.get('evalue')}"[:SHOWN]


def _counted(saved: Sequence[object], now: Sequence[object]) -> str:
    return f"{len(saved)} outputs were saved, {len(now)} are made now"


def _named(outputs: Sequence[Mapping[str, Any]]) -> str:
    return "; ".join(", ".join(sorted(_forms(output))) for output in outputs)[:SHOWN]


def _percent(share: float) -> str:
    return f"{share:.1%}" if share >= 0.001 else f"{share:.2g} of 1, less than 0.1 %,"


def _apart(part: str, detail: str, saved: str | None, now: str | None) -> Part:
    return Part(Status.DIFFERS, Difference(part, detail, saved, now))


def _too_long(part: str, saved: str, now: str) -> Part:
    return _incomparable(f"{part} differs, and is too long to look into ({max(len(saved), len(now)):,} characters)")


def _incomparable(why: str) -> Part:
    return Part(Status.NOT_COMPARABLE, note=why)

"""HTML and SVG brought into one form: names that are made anew at each run are numbered, scripts are set apart."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html.parser import HTMLParser

_ID_ATTRIBUTE = re.compile(r"""\b(?:id|for|xml:id)\s*=\s*(?:"([^"]*)"|'([^']*)')""")
_WORD = re.compile(r"[\w:.-]*\w")
_BLOCKS = {"script", "style"}
_STYLER = re.compile(r"\bT_[0-9a-f]{4,}(?=_|\b)")
_DATE = re.compile(r"<dc:date>.*?</dc:date>", re.S)
_COMMENT = re.compile(r"<!--.*?-->", re.S)
_SPACES = re.compile(r"\s+")


_IMAGE = re.compile(r"data:(image/[\w.+-]+);base64,([A-Za-z0-9+/=\s]{40,})")


@dataclass(frozen=True)
class Markup:
    """*body*: tags, one a line, and texts; *scripts*: what only a browser can tell the meaning of.

    *images*: MIME type and base64 of those that lie in it.
    """

    body: str
    scripts: str
    images: tuple[tuple[str, str], ...] = ()


def canonical(text: str) -> Markup:
    """HTML or SVG in one form: attributes sorted, white space as a browser takes it, ids numbered as they come."""
    images: list[tuple[str, str]] = []

    def apart(match: re.Match[str]) -> str:
        images.append((match[1], match[2]))
        return f"data:{match[1]}"

    text = _COMMENT.sub("", _DATE.sub("", _IMAGE.sub(apart, text)))
    reader = _Reader()
    reader.feed(_numbered(text))
    reader.close()
    return Markup("\n".join(reader.lines), "\n".join(reader.scripts), tuple(images))


def _numbered(text: str) -> str:
    """All ids, wherever they are used (styles, links, scripts), replaced by their number."""
    text = _replaced(text, _STYLER, "T-")
    found: dict[str, str] = {}
    for match in _ID_ATTRIBUTE.finditer(text):
        name = match[1] if match[1] is not None else match[2]
        # a plain number or a short word may stand in the text as well
        if len(name) > 2 and not name.isdigit():
            found.setdefault(name, f"id-{len(found) + 1}")
    if not found:
        return text
    spaced = {name for name in found if not _WORD.fullmatch(name)}
    for name in spaced:
        text = text.replace(name, found[name])
    return _WORD.sub(lambda match: found.get(match[0], match[0]), text)


def _replaced(text: str, pattern: re.Pattern[str], prefix: str) -> str:
    found: dict[str, str] = {}
    return pattern.sub(lambda match: found.setdefault(match[0], f"{prefix}{len(found) + 1}"), text)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.lines: list[str] = []
        self.scripts: list[str] = []
        self._inside: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "script":
            self._inside = tag
            return
        if tag in _BLOCKS:
            self._inside = tag
        told = "".join(f" {name}={_SPACES.sub(' ', value or '').strip()!r}" for name, value in sorted(attrs))
        self.lines.append(f"<{tag}{told}>")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self._inside = None

    def handle_endtag(self, tag: str) -> None:
        if self._inside == tag:
            self._inside = None
        if tag != "script":
            self.lines.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        text = _SPACES.sub(" ", data).strip()
        if text:
            (self.scripts if self._inside == "script" else self.lines).append(text)

"""The words of a magic's line, and the values in them."""

from __future__ import annotations

import json
import math
import re

from himalia._errors import HimaliaError

BARE = re.compile(r"[\w./+-]+")
PLAIN = {"True": True, "False": False}
"""As Python writes them."""
OPENING, CLOSING = "[{", "]}"


def split(line: str) -> list[str]:
    """The words of a line, as a person means them: ``inputs=["a b", "c"]`` is one, with or without quotes around it.

    Raises HimaliaError when a quote or bracket is not closed.
    """
    words, word, quote, depth = list[str](), "", "", 0
    escaped = False
    for character in line:
        if escaped:
            escaped = False
        elif quote:
            escaped = character == "\\" and quote == '"'
            quote = "" if character == quote else quote
        elif character in "\"'":
            quote = character
        elif character in OPENING:
            depth += 1
        elif character in CLOSING:
            depth = max(0, depth - 1)
        elif character.isspace() and depth == 0:
            words += [word] if word else []
            word = ""
            continue
        word += character
    if quote or depth:
        missing = f"the quote {quote}" if quote else "a bracket"
        raise HimaliaError(None, f"In this line {missing} is not closed", line.strip())
    words += [word] if word else []
    return [_unquoted(word) for word in words]


def _unquoted(word: str) -> str:
    whole = len(word) >= 2 and word[0] == word[-1] and word[0] in "\"'" and word[0] not in word[1:-1]
    return word[1:-1] if whole else word


def assignment(text: str, form: str) -> tuple[list[str], object]:
    """``params.seed=7`` as its keys and its value.

    The value is TOML; a text of one word needs no quotes. *form* is shown when it is not right: raises HimaliaError.
    """
    name, equals, value = text.partition("=")
    keys = name.strip().split(".")
    if not equals or not all(re.fullmatch(r"[\w-]+", key) for key in keys):
        raise HimaliaError(None, f"{text!r} is not {form}")
    return keys, value_of(value.strip(), text)


def value_of(text: str, whole: str) -> object:
    """A value as it is written in TOML, or one word. Raises HimaliaError for what JSON cannot carry."""
    import tomllib  # only who writes a value pays for it

    try:
        found = tomllib.loads(f"value = {text}\n")
    except tomllib.TOMLDecodeError as error:
        if BARE.fullmatch(text):
            return PLAIN.get(text, text)
        raise _unfit(whole, str(error)) from error
    if set(found) != {"value"} or not _plain(found["value"]):
        raise _unfit(whole, "it is no plain value")
    return found["value"]


def _plain(value: object) -> bool:
    if isinstance(value, float) and not math.isfinite(value):
        return False
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):  # a date
        return False
    return True


def _unfit(whole: str, why: str) -> HimaliaError:
    return HimaliaError(
        None, f"The value in {whole!r} cannot be read", why, 'Write a number, true, "a text" or a list [1, 2].'
    )

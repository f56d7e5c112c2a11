"""Errors of the client. Each says what happened, why, and what to do."""

from __future__ import annotations


class HimaliaError(Exception):
    """The service refused a request, or something this call needs is missing.

    ``status`` is the HTTP status of the answer, or None when there was no answer. ``title``, ``detail`` and
    ``hint`` are the parts of a problem document (RFC 9457, with our ``hint``); all but the title may be
    empty.
    """

    def __init__(self, status: int | None, title: str, detail: str = "", hint: str = "") -> None:
        super().__init__(status, title, detail, hint)
        self.status = status
        self.title = title
        self.detail = detail
        self.hint = hint

    def __str__(self) -> str:
        parts = [self.title.rstrip(".")]
        if self.detail and self.detail.rstrip(".") != parts[0]:
            parts.append(self.detail.rstrip("."))
        text = ": ".join(parts)
        return f"{text}. {self.hint}" if self.hint else f"{text}."


class NotInProject(HimaliaError):
    """This Python process has no project: it was not started by a Himalia kernel."""


class ServiceUnreachable(HimaliaError):
    """The Himalia service did not answer."""


class MissingPackage(HimaliaError):
    """A feature needs a package that the project's environment does not have."""

    def __init__(self, feature: str, package: str) -> None:
        super().__init__(
            None,
            f"{feature} needs the package {package!r}, which this environment does not have",
            hint=f"Add {package!r} to the project's requirements, or run: %pip install {package}",
        )
        self.package = package

    def __reduce__(self) -> tuple[type[HimaliaError], tuple[int | None, str, str, str]]:
        return HimaliaError, (self.status, self.title, self.detail, self.hint)

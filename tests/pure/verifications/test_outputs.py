"""Outputs by kind: text, numbers, HTML, images, JSON, widgets, errors."""

from __future__ import annotations

import base64
import io
import json
import struct
import zlib
from typing import Any

import pytest
from PIL import Image, ImageDraw

from himalia_server.verifications.compare import (
    CellComparison,
    DeclarationFault,
    Status,
    Verdict,
    compare_notebooks,
    has_saved_outputs,
)
from himalia_server.verifications.compare.images import read, share_that_differs
from tests.pure.verifications.books import book, cell, error, result, shows, stream


def compared(saved: list[dict[str, Any]], now: list[dict[str, Any]], **metadata: Any) -> CellComparison:
    return compare_notebooks(book(cell("f()", *saved), **metadata), book(cell("f()", *now))).cells[0]


# --- text and numbers


@pytest.mark.parametrize(
    ("saved", "now", "status"),
    [
        ("0.12345678", "0.12345679", Status.WITHIN_TOLERANCE),
        ("0.12345678", "0.1235", Status.DIFFERS),
        ("1.1e-16", "2.2e-16", Status.WITHIN_TOLERANCE),
        ("-0.0", "0.0", Status.IDENTICAL),
        ("[ 1.00000001 -2.        ]", "[1.00000002 -2.]", Status.WITHIN_TOLERANCE),
        ("1e5", "100000.00001", Status.WITHIN_TOLERANCE),
        ("a=12", "a=13", Status.DIFFERS),
        ("1,234.0", "1,235.0", Status.DIFFERS),
        ("inf", "inf", Status.IDENTICAL),
        ("1.5", "2.5", Status.DIFFERS),
        ("(1.0000000001+2j)", "(1+2j)", Status.WITHIN_TOLERANCE),
    ],
)
def test_numbers_in_texts(saved: str, now: str, status: Status) -> None:
    assert compared([result(saved)], [result(now)]).status is status


def test_the_first_differing_line_is_told() -> None:
    found = compared([stream("same\nscore 0.5\nend\n")], [stream("same\nscore 0.7\nend\n")])
    (difference,) = found.differences
    assert (difference.part, difference.line, difference.saved, difference.now) == (
        "stdout",
        2,
        "score 0.5",
        "score 0.7",
    )
    more = compared([stream("a\nb\n")], [stream("a\n")]).differences[0]
    assert (more.saved, more.now, more.line) == ("b", None, 2)
    assert "saved output goes on" in more.detail


def test_streams_are_merged_by_name() -> None:
    saved = [stream("a\n"), stream("careful\n", "stderr"), stream("b\n")]
    now = [stream("careful\n", "stderr"), stream("a\nb\n")]
    assert compared(saved, now).status is Status.IDENTICAL
    assert compared(saved, [stream("a\nb\n")]).differences[0].part == "stderr"


def test_a_declared_tolerance_holds_for_notebook_or_cell() -> None:
    saved, now = [result("1.00")], [result("1.02")]
    assert compared(saved, now).status is Status.DIFFERS
    verify = {"verify": {"rtol": 0.05}}
    assert compared(saved, now, himalia=verify).status is Status.WITHIN_TOLERANCE
    own = book(cell("f()", *saved, metadata={"himalia": verify}), cell("f()", *saved, count=2))
    found = compare_notebooks(own, book(cell("f()", *now), cell("f()", *now, count=2)))
    assert [one.status for one in found.cells] == [Status.WITHIN_TOLERANCE, Status.DIFFERS]
    assert found.verdict is Verdict.DIFFERS
    counts = {"verify": {"rtol": 0.1, "integers": True}}
    assert compared([result("100")], [result("101")], himalia=counts).status is Status.WITHIN_TOLERANCE


@pytest.mark.parametrize(
    ("declared", "says"),
    [
        ({"rtol": -1}, "from 0 to 1"),
        ({"rtol": "much"}, "'much'"),
        ({"rtl": 1}, "atol, integers, pixels, rtol"),
        ({"integers": 1}, "true or false"),
        ("loose", "no table"),
    ],
)
def test_a_declaration_that_cannot_be_meant_is_refused(declared: Any, says: str) -> None:
    with pytest.raises(DeclarationFault, match=says):
        compared([], [], himalia={"verify": declared})


# --- HTML, SVG, JSON

STYLER = """<style>#T_{0}_row0_col0 {{color: red}}</style><table id="T_{0}"><tr>
<td id="T_{0}_row0_col0" class="data">{1}</td></tr></table>"""


def test_html_is_compared_without_generated_ids() -> None:
    found = compared(
        [result({"text/html": STYLER.format("ab123", 1.5)})], [result({"text/html": STYLER.format("99ff0", 1.5)})]
    )
    assert (found.status, found.rules_used) == (Status.IDENTICAL, ["html-ids"])
    close = compared(
        [result({"text/html": STYLER.format("ab123", 1.5)})],
        [result({"text/html": STYLER.format("99ff0", 1.50000001)})],
    )
    assert close.status is Status.WITHIN_TOLERANCE
    other = compared(
        [result({"text/html": STYLER.format("ab123", 1.5)})], [result({"text/html": STYLER.format("99ff0", 1.6)})]
    )
    assert (other.status, other.differences[0].saved, other.differences[0].now) == (Status.DIFFERS, "1.5", "1.6")


def test_what_only_a_script_shows_is_not_comparable() -> None:
    page = '<div id="p{0}"></div><script>plot("p{0}", {1})</script>'
    same = compared([result({"text/html": page.format(1001, 5)})], [result({"text/html": page.format(1177, 5)})])
    assert same.status is Status.IDENTICAL
    other = compared([result({"text/html": page.format(1001, 5)})], [result({"text/html": page.format(1001, 6)})])
    assert other.status is Status.NOT_COMPARABLE
    assert "script" in other.notes[0]


def test_statsmodels_summaries_differ_only_in_their_date() -> None:
    page = "<table><tr><th>Date:</th><td>{0}</td><th>Log-Likelihood:</th><td>{1}</td></tr></table>"
    saved = [result({"text/html": page.format("Mon, 23 Nov 2026", -3.5)})]
    assert compared(saved, [result({"text/html": page.format("Tue, 24 Nov 2026", -3.5)})]).status is Status.IDENTICAL
    assert compared(saved, [result({"text/html": page.format("Tue, 24 Nov 2026", -3.6)})]).status is Status.DIFFERS


SVG = """<svg><metadata><dc:date>{0}</dc:date></metadata><defs><clipPath id="{1}"/></defs>
<path clip-path="url(#{1})" d="M 1 {2}"/></svg>"""


def test_svg_is_compared_without_ids_and_dates() -> None:
    saved = [result({"image/svg+xml": SVG.format("2026-01-01", "pa1b2c3", 2.5)})]
    assert compared(saved, [result({"image/svg+xml": SVG.format("2027-01-01", "p99", 2.5)})]).status is Status.IDENTICAL
    assert compared(saved, [result({"image/svg+xml": SVG.format("2027-01-01", "p99", 3)})]).status is Status.DIFFERS


def test_json_is_compared_by_its_values() -> None:
    kind = "application/vnd.vegalite.v5+json"

    def chart(value: float, name: str = "x") -> list[dict[str, Any]]:
        return [result({kind: {"data": [{"y": value}], "name": name}, "text/plain": "<VegaLite>"})]

    assert compared(chart(1.0), chart(1.0000000001)).status is Status.WITHIN_TOLERANCE
    found = compared(chart(1.0), chart(1.5))
    assert (found.status, found.differences[0].detail) == (Status.DIFFERS, "data[0].y differs")
    assert compared(chart(1.0), chart(1.0, "y")).differences[0].detail == "name differs"


def test_widgets_are_not_comparable_and_a_kind_that_is_new_differs() -> None:
    def view(model: str) -> dict[str, Any]:
        kind = "application/vnd.jupyter.widget-view+json"
        return result({kind: {"model_id": model}, "text/plain": f"HBox(children=({model}))"})

    assert compared([view("a")], [view("b")]).status is Status.NOT_COMPARABLE
    both = compared([view("a"), stream("1\n")], [view("b"), stream("1\n")])
    assert both.status is Status.IDENTICAL
    assert "widget" in both.notes[0]
    assert compared([view("a"), stream("1\n")], [view("b"), stream("2\n")]).status is Status.DIFFERS
    changed = compared([result({"text/html": "<b>1</b>"})], [result({"image/png": "x"})])
    assert changed.differences[0].detail == "another kind of output"
    assert (
        "2 outputs were saved, 1 are made now"
        in compared([result("1"), result("2")], [result("1")]).differences[0].detail
    )


def test_loaders_of_plotting_libraries_show_nothing() -> None:
    loader = {"output_type": "display_data", "metadata": {}, "data": {"application/vnd.bokehjs_load.v0+json": "x"}}
    assert compared([loader, result("1")], [result("1")]).status is Status.IDENTICAL


def test_images_within_html_are_compared_as_images() -> None:
    def page(mime: str, data: bytes) -> list[dict[str, Any]]:
        return [result({"text/html": f"<img src='data:{mime};base64,{base64.b64encode(data).decode()}'/>"})]

    def drawn(date: str, name: str, height: float) -> list[dict[str, Any]]:
        return page("image/svg+xml", SVG.format(date, name, height).encode())

    assert compared(drawn("2026-01-01", "pa1b2c3", 2.5), drawn("2027-01-01", "p99", 2.5)).status is Status.IDENTICAL
    assert compared(drawn("2026-01-01", "pa1b2c3", 2.5), drawn("2026-01-01", "pa1b2c3", 3)).status is Status.DIFFERS
    pixels = page("image/png", png(drawing()))
    assert compared(pixels, page("image/png", png(drawing(), compress_level=0))).status is Status.IDENTICAL
    assert compared(pixels, page("image/png", png(drawing(8)))).status is Status.DIFFERS


# --- images


def png(image: Image.Image, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG", **options)
    return file.getvalue()


def shown(data: bytes) -> list[dict[str, Any]]:
    forms = {"image/png": base64.b64encode(data).decode(), "text/plain": "<Figure size 640x480 with 1 Axes>"}
    return [{"output_type": "display_data", "metadata": {}, "data": forms}]


def drawing(shift: int = 0, mode: str = "RGBA") -> Image.Image:
    image = Image.new("RGBA", (160, 120), (255, 255, 255, 255))
    draw = ImageDraw.Draw(image)
    draw.ellipse((20 + shift, 20, 90 + shift, 90), fill=(200, 30, 90, 255))
    draw.line((0, 0, 159, 119), fill=(0, 90, 200, 128), width=2)
    return image.convert(mode)


@pytest.mark.parametrize("mode", ["RGBA", "RGB", "L", "LA", "P", "1", "I;16"])
def test_pixels_are_those_that_pillow_sees(mode: str) -> None:
    """Every colour type against another decoder: equal to itself stored anew, and one changed pixel is found."""
    import numpy as np

    from himalia_server.verifications.compare.images import _over_white

    if mode == "I;16":
        image = Image.fromarray(np.asarray(drawing(mode="L")).astype(np.uint16) * 257)
    else:
        image = drawing(mode=mode)
    data = png(image, optimize=True)
    assert read(data).size == "160×120"
    if mode != "I;16":
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        white.alpha_composite(image.convert("RGBA"))
        theirs = np.asarray(white.convert("RGB")).astype(int)
        assert np.abs(_over_white(read(data)).astype(int) - theirs).max() <= 1
    assert share_that_differs(data, png(image, compress_level=1))[0] == 0.0
    image.putpixel((5, 110), image.getpixel((50, 50)))  # type: ignore[arg-type]
    assert share_that_differs(data, png(image))[0] == pytest.approx(1 / (160 * 120))


def stored(rows: bytes, width: int, height: int) -> bytes:
    """A grey PNG of rows that are filtered already."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def test_all_filters_of_rows_are_undone() -> None:
    import numpy as np

    from himalia_server.verifications.compare.images import _over_white

    generator = np.random.default_rng(7)
    rows = b"".join(bytes([kind % 5]) + generator.integers(0, 256, 31, np.uint8).tobytes() for kind in range(23))
    data = stored(rows, 31, 23)
    assert (_over_white(read(data))[..., 0] == np.asarray(Image.open(io.BytesIO(data)))).all()


def test_images_are_compared_by_what_they_show() -> None:
    saved = shown(png(drawing()))
    again = compared(saved, shown(png(drawing(), compress_level=0)))
    assert (again.status, again.rules_used) == (Status.IDENTICAL, ["image-file"])
    moved = compared(saved, shown(png(drawing(8))))
    assert moved.status is Status.DIFFERS
    assert moved.differences[0].part == "image/png"
    assert "% of its pixels differ" in moved.differences[0].detail
    one = drawing()
    one.putpixel((3, 100), (0, 0, 0, 255))
    assert compared(saved, shown(png(one))).status is Status.WITHIN_TOLERANCE
    size = compared(saved, shown(png(drawing().resize((161, 120)))))
    assert "160×120 was saved, 161×120 now" in size.differences[0].detail


@pytest.mark.parametrize("data", [b"GIF89a", b"\x89PNG\r\n\x1a\n", png(drawing())[:400]])
def test_an_image_that_cannot_be_read_is_not_comparable(data: bytes) -> None:
    found = compared(shown(png(drawing())), shown(data))
    assert found.status is Status.NOT_COMPARABLE
    assert "cannot be looked into" in found.notes[0]


def test_an_interlaced_or_huge_image_is_not_comparable() -> None:
    data = bytearray(png(drawing()))
    data[28] = 1
    assert "interlaced" in compared(shown(png(drawing())), shown(bytes(data))).notes[0]
    data = bytearray(png(drawing()))
    data[16:24] = struct.pack(">II", 100_000, 100_000)
    assert "million pixels" in compared(shown(png(drawing())), shown(bytes(data))).notes[0]


# --- errors, and the notebook as a whole


def test_errors_are_compared_by_name_and_message() -> None:
    saved = [error("ValueError", "no column 'a'")]
    assert compared(saved, [error("ValueError", "no column 'a'")]).status is Status.IDENTICAL
    assert (
        compared(saved, [error("ValueError", "no column 'b'")]).differences[0].detail == "the error's message differs"
    )
    assert compared(saved, [error("KeyError", "a")]).differences[0].detail == "another error"
    assert compared(saved, []).differences[0].detail == "it no longer fails"


def test_a_new_error_makes_the_verdict_failed_and_the_rest_is_not_run() -> None:
    saved = shows("1", "2", "3")
    executed = book(
        cell("print(1)", stream("1")), cell("print(2)", error("NameError", "x"), count=2), cell("print(3)", count=None)
    )
    found = compare_notebooks(saved, executed)
    assert [one.status for one in found.cells] == [Status.IDENTICAL, Status.DIFFERS, Status.NOT_RUN]
    assert (found.verdict, found.first and found.first.number) == (Verdict.FAILED, 2)


def test_a_cell_that_was_never_saved_with_an_output_does_not_count_against_it() -> None:
    saved = book(cell("1", result("1")), cell("2", count=None), cell("x = 3", count=None))
    executed = book(cell("1", result("1")), cell("2", result("2")), cell("x = 3"))
    found = compare_notebooks(saved, executed)
    assert [one.status for one in found.cells] == [Status.IDENTICAL, Status.NO_SAVED_OUTPUT, Status.IDENTICAL]
    assert found.verdict is Verdict.IDENTICAL
    broken = compare_notebooks(
        saved, book(*executed["cells"][:1], cell("2", error("E", "x")), cell("x = 3", count=None))
    )
    assert broken.verdict is Verdict.FAILED
    assert not has_saved_outputs(book(cell("1", count=None)))


def test_tags_take_a_cell_out() -> None:
    saved = book(cell("a", stream("1"), metadata={"tags": ["volatile"]}), cell("b", stream("1"), count=2))
    now = book(cell("a", stream("2")), cell("b", stream("1")))
    found = compare_notebooks(saved, now)
    assert (found.cells[0].status, found.verdict) == (Status.NOT_COMPARABLE, Verdict.IDENTICAL)
    failing = compare_notebooks(saved, book(cell("a", error("E", "x")), cell("b", count=None)))
    assert failing.verdict is Verdict.FAILED


def test_cells_are_matched_when_papermill_added_one() -> None:
    saved = shows("1", "2")
    injected = cell("n = 5", metadata={"tags": ["injected-parameters"]})
    executed = {**saved, "cells": [saved["cells"][0], injected, saved["cells"][1]]}
    assert compare_notebooks(saved, executed).verdict is Verdict.IDENTICAL
    # one that was executed and saved so is kept as it is
    assert compare_notebooks(executed, executed).counts == {"identical": 3}
    gone = {**saved, "cells": saved["cells"][:1]}
    assert [one.status for one in compare_notebooks(saved, gone).cells] == [Status.IDENTICAL, Status.NOT_RUN]


def test_what_pip_tells_is_not_compared() -> None:
    saved, now = (
        book(cell("%pip install x", stream(text)), cell("1", result("1"))) for text in ("Collecting", "Already")
    )
    assert compare_notebooks(saved, now).cells[0].status is Status.NOT_COMPARABLE


def test_a_notebook_of_widgets_alone_is_not_comparable() -> None:
    widget = {"application/vnd.jupyter.widget-view+json": {"model_id": "a"}}
    other = json.loads(json.dumps(widget).replace('"a"', '"b"'))
    assert compare_notebooks(book(cell("w", result(widget))), book(cell("w", result(other)))).verdict is (
        Verdict.NOT_COMPARABLE
    )

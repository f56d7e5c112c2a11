"""Icons of kernels: told apart, legible, whole."""

from __future__ import annotations

import io
import string
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from PIL import Image

from himalia_kernels import icons


@pytest.mark.parametrize(
    ("name", "letters"), [("nyc-flights", "NF"), ("team", "TE"), ("a", "A"), ("x-1", "X1"), ("42", "42"), ("--", "H")]
)
def test_initials(name: str, letters: str) -> None:
    assert icons.initials(name) == letters


def test_colours_differ_and_are_legible_on_light_and_dark() -> None:
    colors = {icons.color(f"project-{number}") for number in range(50)}
    assert len(colors) > 40
    for color in colors:
        assert icons.contrast((255, 255, 255), color) >= 4.5
        assert icons.contrast((17, 17, 17), color) >= 3


@pytest.mark.parametrize("size", icons.SIZES)
@pytest.mark.parametrize("badge", ["", "R"])
def test_the_picture(size: int, badge: str) -> None:
    image = Image.open(io.BytesIO(icons.png("nyc-flights", size, badge)))
    image.load()
    assert (image.size, image.mode) == ((size, size), "RGBA")
    assert image.getpixel((0, 0))[3] == 0  # type: ignore[index]
    assert image.getpixel((size // 2, 1)) == (*icons.color("nyc-flights"), 255)
    corner = image.getpixel((round(size * 23 / 32), round(size * 29.4 / 32)))
    assert (corner == (255, 255, 255, 255)) == bool(badge)


def test_every_letter_can_be_drawn() -> None:
    blank = icons.png("-", 32)
    for letter in string.ascii_uppercase + string.digits:
        assert icons.png(letter, 32) != blank, letter


def test_the_drawing_is_xml_without_scripts_whatever_the_name() -> None:
    root = ET.fromstring(icons.svg('<a"&>', "R"))
    assert {element.tag.partition("}")[2] for element in root.iter()} == {
        *("svg", "title", "clipPath", "g", "rect", "polygon", "text")
    }


def test_files_are_written_once(tmp_path: Path) -> None:
    icons.write_icons(tmp_path, "team")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["logo-32x32.png", "logo-64x64.png", "logo-svg.svg"]
    before = (tmp_path / "logo-64x64.png").stat().st_mtime_ns
    time.sleep(0.01)
    icons.write_icons(tmp_path, "team")
    assert (tmp_path / "logo-64x64.png").stat().st_mtime_ns == before
    icons.write_icons(tmp_path, "other")
    assert (tmp_path / "logo-64x64.png").stat().st_mtime_ns > before

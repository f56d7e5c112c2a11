"""Secrets in what a stage leaves behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from himalia_kernels.masking import Mask, MaskedPipe, mask_of

VALUE = 'pa"ss<wörd>&/+0123'


@pytest.mark.parametrize(
    "text",
    [VALUE, repr(VALUE), json.dumps(VALUE), "pa&quot;ss&lt;wörd&gt;&amp;/+0123", "pa%22ss%3Cw%C3%B6rd%3E%26%2F%2B0123"],
)
def test_usual_spellings_are_masked(text: str) -> None:
    assert Mask([VALUE]).text(f"a {text} b").replace('"', "").replace("'", "") == "a *** b"


def test_lines_of_a_long_value_are_masked_each() -> None:
    pem = "-----BEGIN KEY-----\nabcdefghijkl\nmnopqrstuvwx\n-----END KEY-----\n"
    mask = Mask([pem])
    assert mask.text(f"x{pem}y") == "x***y"
    assert mask.text("only mnopqrstuvwx here") == "only *** here"


def test_short_values_are_left_alone() -> None:
    mask = Mask(["1234567", ""])
    assert not mask
    assert mask.text("1234567") == "1234567"


def test_of_two_values_the_longer_goes_first() -> None:
    assert Mask(["abcdefgh", "abcdefghijkl"]).text("abcdefghijkl abcdefgh") == "*** ***"


def test_a_value_in_two_pieces_of_a_stream_is_found() -> None:
    cell = nbformat.v4.new_code_cell("x")
    new = nbformat.v4.new_output
    cell.outputs = [
        new("stream", name="stdout", text="a secret-"),
        new("stream", name="stdout", text="value b"),
        new("stream", name="stderr", text="secret-value"),
        new("display_data", data={"text/html": "<b>secret-value</b>", "application/json": {"k": ["secret-value"]}}),
        new("error", ename="E", evalue="secret-value", traceback=["at secret-value"]),
    ]
    Mask(["secret-value"]).outputs(cell)
    assert "secret-value" not in json.dumps(cell)
    assert json.dumps(cell).count("***") == 6
    assert cell.outputs[0].text == "a *** b"
    nbformat.validate(nbformat.v4.new_notebook(cells=[cell]))


def test_of_a_grant_only_the_secrets(tmp_path: Path) -> None:
    grant = {"env": {"A": "a-secret-value", "B": "no-secret-value"}, "secrets": ["A", "GONE"]}
    (tmp_path / "grant.json").write_text(json.dumps(grant))
    assert mask_of(tmp_path / "grant.json").text("a-secret-value no-secret-value") == "*** no-secret-value"
    assert not mask_of(tmp_path / "absent")


def test_what_a_process_writes_past_its_notebook(capfd: pytest.CaptureFixture[str]) -> None:
    pipe = MaskedPipe(Mask(["secret-value"]))
    code = "import sys, time; w = sys.stdout; w.write('a secret-'); w.flush(); time.sleep(0.1); w.write('value\\nend')"
    subprocess.run([sys.executable, "-c", code], stdout=pipe.writer, check=True)
    os.write(pipe.writer, b" \xff secret-value")
    pipe.close()
    assert capfd.readouterr().out == "a ***\nend \ufffd ***"

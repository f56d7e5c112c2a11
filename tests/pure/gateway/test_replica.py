"""What a replica is made of, without a model: digest, frames, JSON."""

from __future__ import annotations

import datetime
import hashlib
import json
import math
import os
import socket
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from himalia._digest import tree_digest
from himalia._replica_json import encode, same, to_plain
from himalia._replica_wire import LENGTHS, FrameError, pack, read_frame
from tests.layer import kernel_layer


def test_the_digest_is_the_documented_one(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "two").write_bytes(b"2")
    (tmp_path / "a.txt").write_bytes(b"1")
    (tmp_path / "empty").mkdir()
    lines = [f"{name}\0{hashlib.sha256(data).hexdigest()}\n" for name, data in (("a.txt", b"1"), ("b/two", b"2"))]
    assert tree_digest(tmp_path) == "sha256:" + hashlib.sha256("".join(lines).encode()).hexdigest()


def test_the_digest_sees_content_and_names_only(tmp_path: Path) -> None:
    file = tmp_path / "model"
    file.write_text("x")
    first = tree_digest(tmp_path)
    file.touch()
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "code.pyc").write_text("made by Python")
    assert tree_digest(tmp_path) == first
    file.write_text("y")
    assert tree_digest(tmp_path) != first
    file.write_text("x")
    file.rename(tmp_path / "other")
    assert tree_digest(tmp_path) != first


def test_what_cannot_be_part_of_a_digest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotADirectoryError):
        tree_digest(tmp_path / "none")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "link").symlink_to(tmp_path)
    with pytest.raises(ValueError, match="is a link to a folder"):
        tree_digest(tmp_path)
    (tmp_path / "folder" / "link").unlink()
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="not a regular file"):
        tree_digest(tmp_path)


def test_frames_survive_any_cut() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        frames = [({"id": 1}, b"abc"), ({"id": 2, "name": "ü"}, b""), ({}, b"x" * 5000)]
        data = b"".join(pack(header, body) for header, body in frames)
        for at in range(0, len(data), 1000):
            ours.sendall(data[at : at + 1000])
        for header, body in frames:
            frame = read_frame(theirs)
            assert frame is not None
            assert (frame[0], bytes(frame[1])) == (header, body)
        ours.sendall(data[:15])
        ours.close()
        with pytest.raises(FrameError, match="inside a frame"):
            read_frame(theirs)


def test_the_end_between_frames_is_no_error_and_impossible_lengths_are() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        ours.close()
        assert read_frame(theirs) is None
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(LENGTHS.pack(1, 2**32 - 1))
        with pytest.raises(FrameError, match="larger than any"):
            read_frame(theirs)


@pytest.mark.parametrize(
    ("predictions", "expected"),
    [
        (np.array([1, 2]), [1, 2]),
        (np.array([[0.5, math.nan]]), [[0.5, None]]),
        (np.array(["a", None], dtype=object), ["a", None]),
        (pd.DataFrame({"p": [0.5, math.inf], "t": ["x", None]}), [{"p": 0.5, "t": "x"}, {"p": None, "t": None}]),
        (pd.Series([1, 2]), [{"0": 1}, {"0": 2}]),
        (pd.Series([1], name="y"), [{"y": 1}]),
        (pd.DataFrame({"t": [pd.Timestamp("2026-03-29"), pd.NaT]}), [{"t": "2026-03-29T00:00:00"}, {"t": None}]),
        ([np.float32(0.5), np.int64(3), np.bool_(True)], [0.5, 3, True]),
        ({"a": np.array([1.0])}, {"a": [1.0]}),
        ([datetime.date(2026, 3, 29), b"hi", pd.NA], ["2026-03-29", "aGk=", None]),
        ("text", "text"),
    ],
)
def test_predictions_as_json(predictions: object, expected: object) -> None:
    assert json.loads(encode(to_plain(predictions))) == expected


def test_what_has_no_form_in_json_is_named() -> None:
    with pytest.raises(TypeError, match="the model returned a Decimal"):
        encode([Decimal(1)])


def test_predictions_agree_up_to_rounding() -> None:
    assert same([{"a": 0.1 + 0.2}, math.nan, "x"], [{"a": 0.3}, math.nan, "x"])
    assert not same([1.0], [1.001])
    assert not same([1.0], [1.0, 2.0])


def test_a_replica_without_mlflow_says_which_package_is_missing(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    spec = {
        "model_path": str(tmp_path),
        "model_digest": None,
        "layer": str(kernel_layer()),
        "socket": str(tmp_path / "s"),
        "status_fd": writing,
        "parent_pid": os.getpid(),
    }
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    command = [
        sys.executable,
        "-I",
        "-S",
        str(kernel_layer() / "himalia" / "replica.py"),
        "--spec",
        str(tmp_path / "spec.json"),
    ]
    ended = subprocess.run(command, pass_fds=[writing], stdin=subprocess.PIPE, capture_output=True, text=True)
    os.close(writing)
    with os.fdopen(reading) as lines:
        status = json.loads(lines.readline())
    assert ended.returncode == 1
    assert status["state"] == "failed"
    assert "lacks the package mlflow" in status["error"]
    assert "traceback" in json.loads(ended.stderr.splitlines()[0])

"""Which variables a secret may be."""

from __future__ import annotations

import pytest

from himalia_server.vault.names import refusal


@pytest.mark.parametrize(
    "name", ["DB_PASSWORD", "aws_secret_access_key", "_x", "MLFLOW_S3_ENDPOINT_URL", "A" * 128, "OPENAI_API_KEY"]
)
def test_ordinary_names_are_fine(name: str) -> None:
    assert refusal(name) is None


@pytest.mark.parametrize("name", ["", "1A", "A-B", "A B", "Ä", "A=B", "A\n", "A" * 129, "a.b", "$X"])
def test_what_is_no_variable_is_refused(name: str) -> None:
    assert "no name of an environment variable" in (refusal(name) or "")


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("HIMALIA_URL", "Himalia"),
        ("himalia_token_file", "Himalia"),
        ("MLFLOW_TRACKING_URI", "tracked"),
        ("MLFLOW_TRACKING_TOKEN", "tracked"),
        ("MLFLOW_RUN_ID", "tracked"),
        ("PATH", "programs"),
        ("PYTHONPATH", "programs"),
        ("PYTHONSTARTUP", "programs"),
        ("LD_PRELOAD", "programs"),
        ("DYLD_INSERT_LIBRARIES", "programs"),
        ("BASH_ENV", "programs"),
        ("JUPYTER_TOKEN", "Jupyter"),
        ("JPY_PARENT_PID", "Jupyter"),
        ("HOME", "account"),
        ("LC_ALL", "account"),
    ],
)
def test_names_with_a_meaning_are_refused_with_the_reason(name: str, why: str) -> None:
    assert why in (refusal(name) or "")

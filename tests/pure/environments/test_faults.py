"""uv's words, as it said them, become one sentence with the package to blame."""

from __future__ import annotations

import pytest

from himalia_server.environments.faults import explain
from himalia_server.environments.uv import redacted

TWO = """\
error: No solution found when resolving dependencies
  cause: Because all versions of gamma depend on alpha>=2 and all versions of beta depend on alpha<2, we can conclude that all versions of beta and all versions of gamma are incompatible.
         And because you require beta and gamma, we can conclude that your requirements are unsatisfiable.
"""  # noqa: E501
OLDER = """\
  × No solution found when resolving dependencies:
  ╰─▶ Because nosuch was not found in the package registry and you require
      nosuch, we can conclude that your requirements are unsatisfiable.
"""
ABSENT = """\
error: No solution found when resolving dependencies
  cause: Because delta was not found in the provided package locations and you require delta, we can conclude that your requirements are unsatisfiable.
"""  # noqa: E501
VERSION = """\
error: No solution found when resolving dependencies
  cause: Because there is no version of alpha==9 and you require alpha==9, we can conclude that your requirements are unsatisfiable.
"""  # noqa: E501
PYTHON = """\
error: No solution found when resolving dependencies for split (markers: python_full_version >= '3.11' and python_full_version < '3.13')
  cause: Because newpy==1.0 requires Python >=3.13 and only newpy==1.0 is available, we can conclude that all versions of newpy cannot be used.
         And because you require newpy, we can conclude that your requirements are unsatisfiable.
"""  # noqa: E501
WHEEL = """\
Using Python 3.11.7 environment at: v
error: No solution found when resolving dependencies
  cause: Because winonly==1.0 has no wheels with a matching platform tag (e.g., `manylinux_2_36_x86_64`) and you require winonly==1.0, we can conclude that your requirements are unsatisfiable.

hint: Wheels are available for `winonly` (v1.0) on the following platform: `win_amd64`
"""  # noqa: E501
HASH = """\
Resolved 1 package in 0.83ms
error: Failed to download `alpha==1.0`
  cause: Hash mismatch for `alpha==1.0`

         Expected:
           sha256:0000000000000000000000000000000000000000000000000000000000000000
"""
BACKEND = """\
   Building bad==1.0
error: Failed to build `bad==1.0`
  cause: The build backend returned an error
  cause: Call to `setuptools.build_meta.get_requires_for_build_wheel` failed (exit status: 1)

         [stderr]
         Traceback (most recent call last):
           File "<string>", line 14, in <module>
         RuntimeError: needs libfoo

hint: Build failures usually indicate a problem with the package or the build environment
"""
AWAY = """\
error: Request failed after 3 retries in 10.8s
  cause: Failed to fetch: http://packages.example:9/simple/six/
  cause: error sending request for url (http://packages.example:9/simple/six/)
  cause: client error (Connect)
  cause: tcp connect error
  cause: Connection refused (os error 111)
"""
OFFLINE = """\
error: No solution found when resolving dependencies
  cause: Because six was not found in the cache and you require six, we can conclude that your requirements are unsatisfiable.

hint: Packages were unavailable because the network was disabled. When the network is disabled, registry packages may only be read from the cache.
"""  # noqa: E501
FULL = """\
error: Failed to install: polars_runtime_32-2.1.0-cp311-abi3-manylinux_2_17_x86_64.whl (polars-runtime-32==2.1.0)
  cause: failed to copy file from /cache/x.so to /site/.tmp0: No space left on device (os error 28)
"""
PARSE = """\
error: Couldn't parse requirement in `requirements.txt` at position 0
  cause: no such comparison operator "=", must be one of ~= == != <= >= < > ===
         alpha=1.0
              ^^^^
"""


@pytest.mark.parametrize(
    ("output", "package", "words"),
    [
        (TWO, "beta", ["No versions fit together", "gamma depend on alpha>=2", "beta depend on alpha<2"]),
        (OLDER, "nosuch", ["no package nosuch"]),
        (ABSENT, "delta", ["no package delta"]),
        (VERSION, "alpha", ["no version 9 of alpha"]),
        (PYTHON, "newpy", ["newpy 1.0 needs Python >=3.13"]),
        (WHEEL, "winonly", ["winonly 1.0 has no wheel for this Python on this machine"]),
        (HASH, "alpha", ["hash differs"]),
        (BACKEND, "bad", ["could not be built from its source", "RuntimeError: needs libfoo"]),
        (AWAY, "six", ["packages.example:9 could not be reached for six"]),
        (OFFLINE, "six", ["could not be reached"]),
        (FULL, "polars-runtime-32", ["disk is full"]),
        (PARSE, None, ["requirements.txt is no requirement", "alpha=1.0"]),
        ("error: something quite new\n  cause: of which we know nothing", None, ["something quite new of which"]),
        ("", None, ["said nothing"]),
    ],
)
def test_a_sentence_and_a_package(output: str, package: str | None, words: list[str]) -> None:
    fault = explain(output)
    assert fault.package == package
    for word in words:
        assert word in fault.sentence
    assert "\n" not in fault.sentence
    assert fault.network == (output in (AWAY, OFFLINE))


def test_no_password_is_told() -> None:
    said = "Failed to fetch: https://ada:geheim@packages.example/simple/six/ and git+https://token@code.example/x"
    assert (
        redacted(said) == "Failed to fetch: https://***@packages.example/simple/six/ and git+https://***@code.example/x"
    )
    assert "geheim" not in explain(redacted(AWAY.replace("http://", "http://ada:geheim@"))).sentence

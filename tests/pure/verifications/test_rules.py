"""Every rule: what it takes away, and what looks alike and is a result."""

from __future__ import annotations

import pytest

from himalia_server.verifications.compare import RULES, Status, compare_notebooks
from tests.pure.verifications.books import book, cell, stream

VOLATILE: list[tuple[str, str, str]] = [
    ("uuid", "key 6f1c1f0e-2a6e-4d3a-9d5e-0f1a2b3c4d5e", "key 11111111-2a6e-4d3a-9d5e-0f1a2b3c4d5e"),
    ("address", "<Model at 0x7f12ab34cd56>", "<Model at 0x7f99ab34cd00>"),
    ("address", "<function f at 0x10a3b2c40>", "<function f at 0x7f99ab34cd00>"),
    ("pointer", "handle 0x7f12ab34cd56", "handle 0x7f99ab34cd00"),
    ("object-id", "id=140012345678912", "id=140012345600000"),
    (
        "cpu-times",
        "CPU times: user 12 ms, sys: 3 ms, total: 15 ms\nWall time: 1.2 s",
        "CPU times: user 9.1 ms, sys: 0 ns, total: 9.1 ms\nWall time: 3 min 2 s",
    ),
    (
        "timeit",
        "12.3 ms ± 1.2 ms per loop (mean ± std. dev. of 7 runs, 100 loops each)",
        "998 µs ± 12 ns per loop (mean ± std. dev. of 7 runs, 1,000 loops each)",
    ),
    (
        "timeit-note",
        "The slowest run took 4.13 times longer than the fastest. It may be cached.\n1 ms ± 2 ns per loop x",
        "1 ms ± 2 ns per loop x",
    ),
    ("timeit", "10 loops, best of 5: 23 ms per loop", "1000 loops, best of 5: 231 usec per loop"),
    (
        "progress-bar",
        "\r  0%|          | 0/10 [00:00<?, ?it/s]\r100%|██████████| 10/10 [00:01<00:00,  9.53it/s]\n",
        "\r 40%|████      | 4/10 [00:00<?, ?it/s]\r100%|██████████| 10/10 [00:00<00:00, 99.1it/s]\n",
    ),
    ("progress-bar", "load: 12it [00:01,  9.53it/s]", "load: 12it [00:00, 19.5it/s]"),
    (
        "bar",
        "10/10 ━━━━━━━━━━━━━━━━━━━━ 0s 12ms/step - loss: 0.5",
        "10/10 ━━━━━━━━━━━━━━━━━━━━ 1s 9ms/step - loss: 0.5",
    ),
    ("bar", "[========================>] 12.5 s", "[========================>] 9.5 s"),
    ("rate", "wrote at 12.5 MB/s", "wrote at 112 MB/s"),
    ("rate", "speed 120 it/s", "speed 1.5 it/s"),
    ("elapsed", "Done in 3.2 seconds", "Done in 11.9 seconds"),
    ("elapsed", "fitting took 1 min 3 s", "fitting took 59 s"),
    ("elapsed", "[CV] END C=1; total time=   0.0 s", "[CV] END C=1; total time=   0.1 s"),
    (
        "elapsed",
        "│ EDM = 3.65e-21      │            time = 4.1 sec            │",
        "│ EDM = 3.65e-21      │            time = 1.3 sec            │",
    ),
    ("after", "a: log loss 0.5418 after 12.8 s", "a: log loss 0.5418 after 0.0 s"),
    ("time-attribute", "<FMin edm=1.4e-22 time=0.012345 ok>", "<FMin edm=1.4e-22 time=1.23456789 ok>"),
    ("elapsed-clock", "elapsed: 0:00:01.234", "elapsed: 0:01:09"),
    ("seconds", "step one 0.31s", "step one 12.5s"),
    (
        "log-time",
        "2026-11-23 07:34:16,123 - root - INFO - read 10 rows",
        "2025-01-01 10:00:00,999 - root - INFO - read 10 rows",
    ),
    ("log-time", "07:34:16 - cmdstanpy - INFO - Chain [1] start", "17:30:11 - cmdstanpy - INFO - Chain [1] start"),
    (
        "log-time",
        "2026/11/23 07:34:16 WARNING mlflow: no signature",
        "2026/11/24 08:34:16 WARNING mlflow: no signature",
    ),
    (
        "log-bracket",
        "[I 2026-11-23 07:34:16,123] Trial 0 finished with value: 1.0",
        "[I 2026-01-01 07:30:16,000] Trial 0 finished with value: 1.0",
    ),
    ("glog", "W1123 07:34:16.123456   12345 cuda.cc:12] no GPU", "W0101 17:34:16.999999   99 cuda.cc:19] no GPU"),
    ("report-date", "Date:                Mon, 23 Nov 2026   x", "Date:                Tue, 01 Dec 2026   x"),
    ("report-date", "Time:                        07:34:16   x", "Time:                        17:00:00   x"),
    ("report-date", "time fit was run = 2026-11-23 07:34:16 UTC", "time fit was run = 2020-01-01 01:01:01 UTC"),
    ("created-at", "created_at: 2026-11-23T07:34:16.123456+00:00", "created_at: 2020-01-01T00:00:00.000001+00:00"),
    (
        "warning-place",
        "/usr/lib/python3/site-packages/a/b.py:123: UserWarning: careful",
        "/home/me/env/lib/python3/site-packages/a/b.py:130: UserWarning: careful",
    ),
    ("kernel-file", "/tmp/ipykernel_123/456.py: here", "/tmp/ipykernel_99/1.py: here"),
    ("temp-path", "wrote /tmp/tmpab12cd34/file.csv", "wrote /tmp/tmpzz99xx88/file.csv"),
    ("temp-name", "run tmpab12cd34", "run tmpzz99xx88"),
    ("pid", "pid 1234 is busy", "pid 99 is busy"),
    ("port", "at http://127.0.0.1:34567/status", "at http://127.0.0.1:8787/status"),
    ("dask-name", "LocalCluster(1a2b3c4d, workers=2)", "LocalCluster(99999999, workers=2)"),
    ("dask-memory", "<Client: x threads=4, memory=15.61 GiB>", "<Client: x threads=4, memory=31.2 GiB>"),
    ("mlflow-run", "View run calm-owl-12 at: x", "View run wild-fox-999 at: x"),
    (
        "registry",
        "Successfully registered model 'm'.\nCreated version '1' of model 'm'.\nfit",
        "Registered model 'm' already exists. Creating a new version of this model...\n"
        "Created version '2' of model 'm'.\nfit",
    ),
    (
        "registry-version",
        "INFO mlflow: Waiting up to 300 seconds for model version to finish creation. Model name: m, version 12",
        "INFO mlflow: Waiting up to 300 seconds for model version to finish creation. Model name: m, version 1",
    ),
    ("download", "Downloading data.csv (10 kB)\n5 rows", "5 rows"),
    ("terminal", "\x1b[31mred\x1b[0m", "red"),
    ("terminal", "step 1\rstep 2\rdone   ", "done"),
    ("white-space", "a   \nb\n", "a\nb"),
]
RESULTS: list[tuple[str, str]] = [
    ("2024-01-01 00:00:00    1.5", "2024-01-02 00:00:00    1.5"),
    ("mean air time: 150.7 min", "mean air time: 149.1 min"),
    ("mean duration: 12 min", "mean duration: 14 min"),
    ("<Dims time=12>", "<Dims time=13>"),
    ("air time = 4.1 h", "air time = 4.2 h"),
    ("delay 12 s", "delay 13 s"),
    ("colour 0xff", "colour 0xfe"),
    ("md5 d41d8cd98f00b204e9800998ecf8427e", "md5 d41d8cd98f00b204e9800998ecf8427f"),
    ("accuracy 87%", "accuracy 88%"),
    ("loss: 0.5000", "loss: 0.5001"),
    ("10/10 ━━━━━━━━━━━━━━━━━━━━ 0s 12ms/step - loss: 0.5", "10/10 ━━━━━━━━━━━━━━━━━━━━ 0s 12ms/step - loss: 0.6"),
    (
        "100%|██████████| 10/10 [00:01<00:00,  9.5it/s]\nscore 1",
        "100%|██████████| 10/10 [00:01<00:00, 9.5it/s]\nscore 2",
    ),
    ("INFO: 3 rows", "INFO: 4 rows"),
    ("a.py:12: UserWarning: one", "a.py:12: UserWarning: two"),
    ("Year: 2023", "Year: 2024"),
    ("departure 07:34:16", "departure 07:35:16"),
    ("version 3.11.2", "version 3.11.3"),
    ("foo bar", "foobar"),
    ("x = 1.0", "x = nan"),
    ("n = 1000000", "n = 1000001"),
    ("price 10 €/m", "price 12 €/m"),
]


def status(saved: str, now: str, source: str = "f()") -> tuple[Status, list[str]]:
    found = compare_notebooks(book(cell(source, stream(saved))), book(cell(source, stream(now)))).cells[0]
    return found.status, found.rules_used


@pytest.mark.parametrize(("rule", "saved", "now"), VOLATILE)
def test_what_is_volatile_raises_no_alarm(rule: str, saved: str, now: str) -> None:
    found, used = status(saved, now)
    assert found is Status.IDENTICAL
    assert rule in used


@pytest.mark.parametrize(("saved", "now"), RESULTS)
def test_a_result_that_looks_alike_is_compared(saved: str, now: str) -> None:
    assert status(saved, now)[0] is Status.DIFFERS


def test_every_rule_has_its_case() -> None:
    names = [rule.name for rule in RULES]
    assert len(names) == len(set(names))
    assert set(names) - {rule for rule, *_ in VOLATILE} == {"timed-cell"}


def test_only_in_a_cell_that_measures_time_a_number_with_a_unit_is_a_time() -> None:
    timed = "t = time.perf_counter(); f(); print(time.perf_counter() - t, 's')"
    assert status("0.123 s", "0.456 s", timed) == (Status.IDENTICAL, ["timed-cell"])
    assert status("0.123 s", "0.456 s")[0] is Status.DIFFERS


def test_equal_texts_need_no_rule() -> None:
    assert status("at 0x7f12ab34cd56 in 3.2 s", "at 0x7f12ab34cd56 in 3.2 s") == (Status.IDENTICAL, [])


def test_only_rules_that_mattered_are_named() -> None:
    assert status("<M at 0x7f12ab34cd56> pid 12", "<M at 0x7f99ab34cd00> pid 12")[1] == ["address"]

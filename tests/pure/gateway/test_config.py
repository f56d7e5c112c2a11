"""The gateway's configuration file: what is accepted, and what the errors say."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from himalia_server.gateway.config import ConfigError, parse_config, read_config


def good() -> dict[str, Any]:
    return {
        "version": 7,
        "listen": {"host": "127.0.0.1", "port": 43210},
        "deployments": [
            {
                "name": "flight-delay",
                "project": "nyc-flights",
                "keys": [{"id": "k1", "sha256": "a" * 64, "expires_at": 1790000000.0}],
                "revisions": [
                    {
                        "id": "r1",
                        "weight": 100,
                        "model_path": "/models/one",
                        "model_digest": "sha256:" + "b" * 64,
                        "python": "/usr/bin/python3",
                        "layer": None,
                        "env": {"K": "V"},
                        "replicas": {"min": 1, "max": 1},
                    }
                ],
            }
        ],
    }


def test_the_documented_shape_is_read() -> None:
    config = parse_config(good())
    deployment = config.deployments["flight-delay"]
    assert (config.version, config.host, config.port) == (7, "127.0.0.1", 43210)
    assert deployment.keys[0].expires_at == 1790000000.0
    assert deployment.revisions[0].env == {"K": "V"}
    assert config.limits.body_bytes == 16 * 1024 * 1024


def test_optional_values_may_be_null() -> None:
    data = good()
    data["deployments"][0]["keys"][0]["expires_at"] = None
    data["deployments"][0]["revisions"][0]["model_digest"] = None
    config = parse_config(data)
    assert config.deployments["flight-delay"].keys[0].expires_at is None


def test_limits_can_be_set() -> None:
    config = parse_config({**good(), "limits": {"deadline_seconds": 2, "queue_requests": 5}})
    assert config.limits.deadline_seconds == 2.0
    assert config.limits.queue_requests == 5


def change(data: dict[str, Any], path: list[str | int], value: object) -> dict[str, Any]:
    data = copy.deepcopy(data)
    place: Any = data
    for step in path[:-1]:
        place = place[step]
    if value is KeyError:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return data


REVISION: list[str | int] = ["deployments", 0, "revisions", 0]
KEY: list[str | int] = ["deployments", 0, "keys", 0]


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (["version"], "7", "version: must be a whole number, is a text"),
        (["version"], True, "version: must be a whole number, is true or false"),
        (["version"], KeyError, "version: is missing"),
        (["extra"], 1, "extra: unknown key; known are deployments, limits, listen, version"),
        (["listen", "port"], 70000, "listen.port: 70000 is not between 0 and 65535"),
        (["deployments"], {}, "deployments: must be a list, is an object"),
        (["deployments", 0, "name"], "Flight Delay", "deployments[0].name: 'Flight Delay' does not match"),
        ([*KEY, "sha256"], "abc", "deployments[0].keys[0].sha256"),
        ([*KEY, "expires_at"], "soon", "keys[0].expires_at: must be a number, is a text"),
        ([*REVISION, "weight"], 90, "deployments[0].revisions: the weights sum to 90, they must sum to 100"),
        ([*REVISION, "model_path"], "models/one", "'models/one' must be an absolute path"),
        ([*REVISION, "weigth"], 1, "deployments[0].revisions[0].weigth: unknown key"),
        ([*REVISION, "env"], {"K": 1}, "revisions[0].env.K: an environment variable is a name and a text"),
        ([*REVISION, "replicas", "min"], 0, "replicas.min: 0 is not between 1 and 64"),
        ([*REVISION, "replicas"], {"min": 2, "max": 1}, "replicas.max: 1 is not between 2 and 64"),
        ([*REVISION, "model_digest"], "b" * 64, "model_digest"),
    ],
)
def test_what_is_wrong_is_named(path: list[str | int], value: object, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(change(good(), path, value))
    assert said in str(caught.value)


def test_names_are_unique() -> None:
    data = good()
    data["deployments"].append(copy.deepcopy(data["deployments"][0]))
    with pytest.raises(ConfigError, match="'flight-delay' is there twice"):
        parse_config(data)


def test_a_file_that_is_not_json_or_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_config(tmp_path / "none.json")
    file = tmp_path / "config.json"
    file.write_text(json.dumps(good())[:-5])
    with pytest.raises(ConfigError, match="is not JSON"):
        read_config(file)


def test_only_what_replicas_are_made_of_changes_the_fingerprint() -> None:
    def fingerprint(path: list[str | int], value: object) -> str:
        return parse_config(change(good(), path, value)).deployments["flight-delay"].revisions[0].fingerprint

    same = parse_config(good()).deployments["flight-delay"].revisions[0].fingerprint
    assert fingerprint([*KEY, "sha256"], "c" * 64) == same
    assert fingerprint([*REVISION, "replicas"], {"min": 1, "max": 3}) == same
    assert fingerprint([*REVISION, "model_path"], "/models/two") != same
    assert fingerprint([*REVISION, "env"], {"K": "W"}) != same

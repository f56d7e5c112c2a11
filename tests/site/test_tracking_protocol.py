"""MLflow's own protocol files against the proxy's table of routes."""

from __future__ import annotations

import json
import re
import subprocess
import sys

from himalia_server.tracking import policy
from himalia_server.tracking.policy import ROUTES

ENDPOINTS = """
import importlib, json, pkgutil, sys
import mlflow.protos as protos
from mlflow.protos import databricks_pb2
found = set()
for module in pkgutil.iter_modules(protos.__path__):
    if module.name.endswith("_pb2"):
        described = importlib.import_module(f"mlflow.protos.{module.name}").DESCRIPTOR
        for service in described.services_by_name.values():
            for method in service.methods:
                for endpoint in method.GetOptions().Extensions[databricks_pb2.rpc].endpoints:
                    for prefix in ("/api", "/ajax-api"):
                        for version in {str(endpoint.since.major), "2", "3"}:
                            found.add((endpoint.method, f"{prefix}/{version}.0{endpoint.path}"))
json.dump(sorted(found), sys.stdout)
"""


def test_what_mlflows_protocol_files_name_is_judged_or_denied() -> None:
    """They name more than its server has today: a pattern of our table must not let through what nobody has judged."""
    command = [sys.executable, "-c", ENDPOINTS]
    told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert len(told) > 300
    judged = {(route.method, re.sub(r"\*+", "*", route.path)) for route in ROUTES if route.action != "deny"}
    slipped = []
    for method, path in told:
        template = policy.normal_path(re.sub(r"<[^>]+>|\{[^}]+\}", "*", path))
        action = policy.classify(method, template.replace("*", "x"))
        if action is not None and (method, template) not in judged:
            slipped.append((method, path, action))
    assert slipped == []

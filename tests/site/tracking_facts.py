"""What the attacked projects hold: runs, models, traces and files, with a secret in those of `beta`."""

from __future__ import annotations

import uuid
from typing import Any

from tests.site.tracking_lab import Lab

FILES = "/api/2.0/mlflow-artifacts/artifacts"
SECRET = "the-secret-of-beta"


def furnish(lab: Lab, project: str) -> dict[str, str]:
    """A run with a file, a complete logged model with a file, a registered model and a trace."""
    word = SECRET if project == "beta" else "of-alpha"

    def ask(method: str, path: str, body: Any = None) -> Any:
        answer = lab.call(method, path, body, project=project)
        assert answer.status == 200, (path, answer.status, answer.body)
        return answer.json() if answer.body else {}

    experiment = ask("POST", "/api/2.0/mlflow/experiments/create", {"name": f"exp-{project}"})["experiment_id"]
    run = ask("POST", "/api/2.0/mlflow/runs/create", {"experiment_id": experiment, "run_name": word})
    run_id = run["run"]["info"]["run_id"]
    ask("POST", "/api/2.0/mlflow/runs/log-parameter", {"run_id": run_id, "key": "word", "value": word})
    run_files = run["run"]["info"]["artifact_uri"].removeprefix("mlflow-artifacts:/")
    put = lab.call("PUT", f"{FILES}/{run_files}/secret.txt", project=project, body=word.encode())
    assert put.status == 200
    asked = {"experiment_id": experiment, "name": word}
    model = ask("POST", "/api/2.0/mlflow/logged-models", asked)["model"]["info"]
    model_files = model["artifact_uri"].removeprefix("mlflow-artifacts:/")
    put = lab.call("PUT", f"{FILES}/{model_files}/MLmodel", project=project, body=word.encode())
    assert put.status == 200
    model_id = model["model_id"]
    done = {"model_id": model_id, "status": "LOGGED_MODEL_READY"}
    ask("PATCH", f"/api/2.0/mlflow/logged-models/{model_id}", done)
    ask("POST", "/api/2.0/mlflow/registered-models/create", {"name": f"model-{project}"})
    version = {"name": f"model-{project}", "source": f"models:/{model_id}", "model_id": model_id}
    ask("POST", "/api/2.0/mlflow/model-versions/create", version)
    trace_id = _trace(lab, project, experiment, {"word": word})
    return {
        "experiment": experiment,
        "run": run_id,
        "run_files": run_files,
        "model": model_id,
        "model_files": model_files,
        "registered": f"model-{project}",
        "trace": trace_id,
    }


def trace_body(experiment: str, tags: dict[str, str]) -> dict[str, Any]:
    """A finished trace of an experiment, as MLflow's clients send it."""
    return {
        "trace": {
            "trace_info": {
                "trace_id": f"tr-{uuid.uuid4().hex}",
                "trace_location": {
                    "type": "MLFLOW_EXPERIMENT",
                    "mlflow_experiment": {"experiment_id": experiment},
                },
                "request_time": "2026-01-01T00:00:00Z",
                "execution_duration": "1s",
                "state": "OK",
                "tags": tags,
            }
        }
    }


def _trace(lab: Lab, project: str, experiment: str, tags: dict[str, str]) -> str:
    body = trace_body(experiment, tags)
    answer = lab.call("POST", "/api/3.0/mlflow/traces", body, project=project)
    assert answer.status == 200, answer.body
    return str(body["trace"]["trace_info"]["trace_id"])

"""`himalia demo`: from nothing to a tracked, deployed model of real flights."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import httpx

from ..service import lifecycle
from ..service.site import Site, write_private
from .api import Api, Refused, connect, open_site
from .follow import ENDED, follow_run
from .lab import RunningLab, has_browser
from .options import as_json
from .output import Failure, Progress, print_json, table

PROJECT, CLUSTER, MODEL, ENDPOINT = "nyc-flights", "local", "flight-delay", "flight-delay"
WAIT = 180.0
"""Seconds that a cluster or an endpoint may take to be ready."""


@dataclass
class Made:
    """What this call made, and what it found."""

    site: bool = False
    service: bool = False
    project: bool = False
    facts: dict[str, Any] = field(default_factory=dict)


@click.command()
@click.option("--exit", "exit_", is_flag=True, help="Stop at the end, and remove what this call made.")
@click.option("--no-browser", is_flag=True, help="Do not open JupyterLab (which is not opened without a terminal).")
@as_json
def demo(exit_: bool, no_browser: bool, json_: bool) -> None:
    """See all of it on real flights, in one command.

    A model is trained, registered, deployed and asked. JupyterLab opens on the project, where everything is seen as
    it happens. Run again, it finds what exists and says so.
    """
    began = time.monotonic()
    made = Made(site=not Site.exists())
    opens = not (exit_ or no_browser or json_) and sys.stdout.isatty()
    progress = Progress(8 if opens else 7, quiet=json_)
    api: Api | None = None
    lab: RunningLab | None = None
    try:
        api = _service(progress, made)
        view = _project(api, progress, made)
        if opens:
            lab = _open(api, view, progress, made)
        _cluster(api, progress, made)
        _pipeline(api, progress, made)
        _champion(api, progress, made)
        _endpoint(api, progress, made)
        _predictions(api, progress, made)
        made.facts["seconds"] = round(time.monotonic() - began, 1)
        if json_:
            print_json(made.facts)
        else:
            progress.close()
            _show(api, made, exit_)
        if lab is not None:
            click.echo("\nJupyterLab runs until you press Ctrl-C here; everything else goes on without it.")
            lab.wait()
            lab = None
    except Refused as error:
        raise Failure(f"{progress.title or 'The demo'} failed: {error.message}", error.hint) from error
    finally:
        progress.close()
        if lab is not None:
            lab.stop()
        if exit_ and api is not None:
            _clean_up(api, made, json_)


def _service(progress: Progress, made: Made) -> Api:
    progress.step("Service")
    before = lifecycle.find(open_site())
    made.service = before is None
    api = connect()
    api.on_wait = progress.update
    made.facts |= {"site": str(api.site.home), "service": api.found.address}
    progress.done(f"{'started' if made.service else 'found'} at {api.found.address}")
    return api


def _project(api: Api, progress: Progress, made: Made) -> dict[str, Any]:
    progress.step("Project")
    try:
        view = api.get(f"/projects/{PROJECT}")
        done = f"found in {view['path']}"
    except Refused as error:
        if error.status != 404:
            raise
        view = api.post("/projects", {"name": PROJECT, "template": PROJECT})
        made.project = True
        done = f"{PROJECT} made in {view['path']}"
    if view["problem"]:
        raise Failure(view["problem"], "Mend the file, then run the demo again.")
    made.facts["project"] = {"name": PROJECT, "path": view["path"], "kernel": view["kernelspec"]}
    progress.done(done)
    return dict(view)


def _open(api: Api, view: dict[str, Any], progress: Progress, made: Made) -> RunningLab | None:
    """Open JupyterLab; it starts while the rest goes on, and the rest goes on without it."""
    progress.step("JupyterLab")
    lab = RunningLab(api.site, view)
    try:
        address = lab.address()
    except Failure as error:
        lab.stop()
        progress.done(f"not opened: {error.message} {error.hint}")
        return None
    except BaseException:
        lab.stop()
        raise
    made.facts["lab"] = address
    progress.done(f"{'opens in your browser' if has_browser() else 'open it in a browser'}: {address}")
    return lab


def _cluster(api: Api, progress: Progress, made: Made) -> None:
    progress.step("Dask cluster")
    path = f"/projects/{PROJECT}/clusters"
    try:
        api.get(f"{path}/{CLUSTER}")
        word = "found"
    except Refused as error:
        if error.status != 404:
            raise
        api.post(path, {"name": CLUSTER})
        word = "started"

    def ready() -> dict[str, Any] | None:
        view: dict[str, Any] = api.get(f"{path}/{CLUSTER}")
        progress.update(f"{view['workers']} of {view['wanted']} workers are ready")
        if view["state"] == "failed":
            raise Failure(f"The cluster could not be started: {view['error']}", "himalia logs, himalia doctor")
        return view if view["state"] == "running" and view["workers"] >= view["wanted"] else None

    view = _wait(ready, "the Dask cluster")
    made.facts["cluster"] = {"name": CLUSTER, "workers": view["workers"], "address": view["address"]}
    progress.done(f"{CLUSTER} {word}: {view['workers']} workers at {view['address']}")


def _pipeline(api: Api, progress: Progress, made: Made) -> None:
    progress.step("Pipeline")
    path = f"/projects/{PROJECT}/runs"
    before = api.get("/service")["last_event"]
    runs = api.get(path, limit=20)["items"]
    run = next((run for run in runs if run["status"] == "succeeded"), None)
    active = next((run for run in runs if run["status"] not in ENDED), None)
    word = "found"
    if run is None or not _outputs_exist(made, run):
        word = "ran"
        run = active or api.post(path, {})
        run = follow_run(api, run, before, progress.update)
    if run["status"] != "succeeded":
        bad = next((stage for stage in run["stages"] if stage["status"] != "succeeded"), None)
        why = f"{bad['name']} {bad['status']}: {bad['error'] or bad['reason']}" if bad else run["reason"]
        hint = f"himalia run show {run['id']} --project {PROJECT}"
        raise Failure(f"The pipeline did not succeed. {why}", (bad or {}).get("hint") or hint)
    stages = {stage["name"]: round(stage["ended_at"] - stage["started_at"], 1) for stage in run["stages"]}
    made.facts["run"] = {"id": run["id"], "stages": stages, "snapshot": run["snapshot"]}
    progress.done(f"{word} run {run['id']}: " + ", ".join(f"{name} {took} s" for name, took in stages.items()))


def _outputs_exist(made: Made, run: dict[str, Any]) -> bool:
    folder = Path(made.facts["project"]["path"])
    return all((folder / path).exists() for stage in run["stages"] for path in stage["outputs"])


def _champion(api: Api, progress: Progress, made: Made) -> None:
    progress.step("Champion")
    folder = Path(made.facts["project"]["path"])
    chosen = json.loads((folder / "build" / "model.json").read_text())
    version = str(chosen["version"])
    models = {model["name"]: model for model in api.get(f"/projects/{PROJECT}/models")["items"]}
    holders = [v["version"] for v in models.get(MODEL, {}).get("versions", []) if "champion" in v["aliases"]]
    if holders == [version]:
        word = "is the champion already"
    else:
        path = f"/projects/{PROJECT}/models/{MODEL}/aliases/champion"
        api.request("PUT", path, json={"version": version})
        word = "made champion"
    made.facts["model"] = {"name": MODEL, "version": version, "candidate": chosen.get("best")}
    progress.done(f"{MODEL} version {version} ({_candidate(chosen)}) {word}")


def _candidate(chosen: dict[str, Any]) -> str:
    best = chosen.get("best")
    return str(best.get("name", best)) if isinstance(best, dict) else str(best)


def _endpoint(api: Api, progress: Progress, made: Made) -> None:
    progress.step("Endpoint")
    path = f"/projects/{PROJECT}/deployments"
    version, word = made.facts["model"]["version"], "found"
    try:
        view = api.get(f"{path}/{ENDPOINT}")
    except Refused as error:
        if error.status != 404:
            raise
        view = None
    if view is None or view["model_version"] != version:
        word = "deployed"
        api.post(path, {"name": ENDPOINT, "model": f"models:/{MODEL}@champion"})

    def ready() -> dict[str, Any] | None:
        view: dict[str, Any] = api.get(f"{path}/{ENDPOINT}")
        progress.update(f"{view['state']}: loading version {version} and asking it once")
        if view["state"] == "failed":
            raise Failure(f"The endpoint could not be started: {view['error']}", "himalia logs gateway")
        return view if view["state"] == "ready" else None

    view = _wait(ready, "the endpoint")
    token_file = api.site.home / "tokens" / f"endpoint-{ENDPOINT}"
    if word == "deployed" or not token_file.exists():
        made_token = api.post(f"{path}/{ENDPOINT}/tokens", {"label": "himalia demo", "days": 30})
        write_private(token_file, made_token["token"] + "\n")
    made.facts["endpoint"] = {"name": ENDPOINT, "url": view["url"], "token_file": str(token_file)}
    progress.done(f"{word} at {view['url']}")


def _predictions(api: Api, progress: Progress, made: Made) -> None:
    progress.step("Predictions")
    folder = Path(made.facts["project"]["path"])
    sample = json.loads((folder / "build" / "july-sample.json").read_text())
    endpoint = made.facts["endpoint"]
    token = Path(endpoint["token_file"]).read_text().strip()
    body = {"dataframe_split": {"columns": sample["columns"], "data": sample["rows"]}}

    def answered() -> list[float] | None:
        try:
            headers = {"Authorization": f"Bearer {token}"}
            reply = httpx.post(endpoint["url"], json=body, headers=headers, timeout=60, trust_env=False)
        except httpx.TransportError:
            return None  # the gateway is being restarted
        if reply.status_code == 503:
            return None
        if reply.is_error:
            raise Failure(f"The endpoint answered {reply.status_code}: {reply.text[:300]}")
        return [_probability(value) for value in reply.json()["predictions"]]

    probabilities = _wait(answered, "an answer of the endpoint")
    rows = zip(sample["describe"], probabilities, sample["happened"], sample["arr_delay"], strict=True)
    made.facts["predictions"] = [
        {"flight": flight, "probability": round(p, 4), "late": late, "minutes": minutes}
        for flight, p, late, minutes in rows
    ]
    made.facts["july"] = sample["july"]
    progress.done(f"{len(probabilities)} real flights of July asked")


def _probability(value: Any) -> float:
    """The probability of being late, whether the model answers one number or one a class."""
    return float(value[-1] if isinstance(value, list) else value)


def _wait(ready: Any, what: str) -> Any:
    deadline = time.monotonic() + WAIT
    while (value := ready()) is None:
        if time.monotonic() > deadline:
            raise Failure(f"{what} was not ready after {WAIT:g} s.", "himalia doctor, himalia logs")
        time.sleep(0.2)
    return value


def _show(api: Api, made: Made, exit_: bool) -> None:
    facts = made.facts
    rows = [
        (p["flight"], f"{p['probability']:4.0%}  {_bar(p['probability'])}", "late" if p["late"] else "on time",
         f"{p['minutes']:+.0f} min")
        for p in facts["predictions"]
    ]  # fmt: skip
    july = facts["july"]
    click.echo("\nWill it arrive more than 15 minutes late? Asked over HTTP, with what is known before departure:\n")
    click.echo(table(rows, ("FLIGHT IN JULY 2013", "PROBABILITY OF LATE", "HAPPENED", "ARRIVED")))
    click.echo(
        f"\nOver all {july['flights']:,} flights of July: ROC AUC {july['roc_auc']:.3f}; "
        f"{july['late_share']:.0%} were late."
    )
    if exit_:
        click.echo(f"\nDone in {facts['seconds']:.0f} s.")
        return
    path, endpoint, run = facts["project"]["path"], facts["endpoint"], facts["run"]
    click.echo(
        f"""
Done in {facts["seconds"]:.0f} s. What exists now:
  project    {path}
             {"open in JupyterLab now" if "lab" in facts else f"open it in JupyterLab: himalia project open {PROJECT}"}
  run        {run["id"]}: himalia run show {run["id"]} -p {PROJECT}
             with figures: himalia run notebook {run["id"]} evaluate -p {PROJECT}
  model      {facts["model"]["name"]}@champion, version {facts["model"]["version"]}: himalia model list -p {PROJECT}
  cluster    {CLUSTER}, {facts["cluster"]["workers"]} workers: himalia cluster list -p {PROJECT}
  endpoint   {endpoint["url"]}
             its token: {endpoint["token_file"]}
All of it goes on until you stop it: himalia down"""
    )
    folder = Path(sys.executable).parent
    if shutil.which("himalia") is None and (folder / "activate").exists():
        click.echo(f"For this shell to find the command himalia: . {shlex.quote(str(folder / 'activate'))}")


def _bar(share: float, width: int = 20) -> str:
    full = round(share * width)
    return "█" * full + "·" * (width - full)


def _clean_up(api: Api, made: Made, quiet: bool) -> None:
    """Stop, and remove what this call made; what was there before stays on the disk."""
    told = []
    alone = False
    try:
        alone = all(project["slug"] == PROJECT for project in api.items("/projects"))
        if made.project:
            api.request("DELETE", f"/projects/{PROJECT}", params={"remove_files": True, "purge": True})
            told.append("the demo's project is gone")
    except Failure as error:
        click.echo(f"himalia: the project could not be removed: {error.message}", err=True)
    # other projects may have runs or endpoints that somebody needs
    if made.service or alone:
        found = lifecycle.find(api.site)
        if found is not None:
            lifecycle.stop(found)
        told.append("the service is down")
    if made.site and made.service:
        shutil.rmtree(api.site.home, ignore_errors=True)
    if not made.project:
        told.append("what was there before this call stays")
    if not quiet:
        click.echo(f"Cleaned up: {', '.join(told)}.")

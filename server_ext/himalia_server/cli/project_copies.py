"""`himalia project clone|export|import`: copies of projects, here and elsewhere."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import click

from .api import Refused, at, connect
from .making import making
from .options import as_json
from .output import Failure, Progress, print_json, size, writing

BLOCK = 1 << 20
SECONDS = 3600
"""A large project takes its time."""


@click.command("clone")
@click.argument("name")
@click.argument("new")
@click.option("--path", type=click.Path(file_okay=False), help="Its folder.")
@click.option("--data", is_flag=True, help="Copy the declared inputs too.")
@as_json
def clone(name: str, new: str, path: str | None, data: bool, json_: bool) -> None:
    """A project of its own from the code of another.

    Runs, models, secrets and members are not copied.
    """
    api = connect()
    folder = str(Path(path).expanduser().absolute()) if path else None
    with making(api, f"copying {name}", quiet=True):
        view = api.post(at("projects", name, "clone"), {"name": new, "path": folder, "data": data}, timeout=SECONDS)
    if json_:
        print_json(view)
    else:
        click.echo(f"{new} is in {view['path']}.\nOpen it: himalia project open {new}")


@click.command("export")
@click.argument("name")
@click.option("--output", "-o", type=click.Path(dir_okay=False), help="Default: NAME.himalia.zip here.")
@click.option("--data/--no-data", default=True, help="Its declared inputs too (default: yes).")
@click.option("--outputs", is_flag=True, help="What its stages have made, too.")
@click.option("--limit", default=256, show_default=True, type=click.IntRange(0), help="MiB; a larger input stays out.")
@as_json
def export(name: str, output: str | None, data: bool, outputs: bool, limit: int, json_: bool) -> None:
    """Write a project to one file, which opens on another site.

    Code, locks and data; no secrets, runs and models. The same content makes the same file.
    """
    api = connect()
    target = Path(output or f"{name}.himalia.zip")
    if target.exists() and output is None:
        raise Failure(f"{target} exists already.", "Name another file with --output.")
    draft = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}")
    progress = Progress(1, quiet=json_)
    export_path = at("projects", name, "export")
    params = {"data": data, "outputs": outputs, "limit": limit << 20}
    try:
        progress.step(f"exporting {name}")
        with writing(target):
            # the file first: where nothing can be written, nothing is exported in vain
            with draft.open("xb") as file, api.stream("GET", export_path, params=params, timeout=SECONDS) as reply:
                if not reply.is_success:
                    reply.read()
                    raise Refused.by(reply)
                total, got = int(reply.headers.get("content-length", 0)), 0
                for block in reply.iter_bytes(BLOCK):
                    file.write(block)
                    got += len(block)
                    progress.update(f"{100 * got // max(1, total)} %")
                digest, left = reply.headers["etag"].strip('"'), int(reply.headers["x-himalia-left-out"])
            draft.replace(target)
        progress.done(f"{size(got)} in {target}")
    finally:
        with suppress(OSError):  # there is none: its folder is not there, or is no folder
            draft.unlink()
        progress.close()
    if json_:
        print_json({"file": str(target), "bytes": got, "digest": digest, "left_out": left})
        return
    if left:
        click.echo(f"{left} of its inputs stayed out: they are larger than {limit} MiB, or --no-data was said.")
    click.echo(f"{target}: {digest}\nOn another site: himalia project import {target.name}")


@click.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@click.argument("name", required=False)
@click.option("--path", type=click.Path(file_okay=False), help="Its folder, which is new or empty.")
@as_json
def import_(file: str, name: str | None, path: str | None, json_: bool) -> None:
    """Make a project from an exported one.

    Every file is compared with the digest it had.
    """
    api = connect()
    params = {"path": str(Path(path).expanduser().absolute())} if path else {}
    params |= {"name": name} if name else {}
    headers = {"Idempotency-Key": uuid.uuid4().hex, "Content-Type": "application/octet-stream"}
    with making(api, f"importing {file}", quiet=json_):
        view = api.request(
            "POST", "/project-imports", params=params, headers=headers, content=_Upload(Path(file)), timeout=SECONDS
        )
    if json_:
        print_json(view)
    else:
        click.echo(f"The project {view['slug']} is in {view['path']}.\nOpen it: himalia project open {view['slug']}")


class _Upload:
    """A file, block by block; read from its beginning each time that the request is sent."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __iter__(self) -> Iterator[bytes]:
        with self.path.open("rb") as file:
            while block := file.read(BLOCK):
                yield block

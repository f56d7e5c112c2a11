"""`himalia backup | restore`."""

from __future__ import annotations

import time
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

import click

from ..service.site import Site, default_home
from ..store import StoreRefused
from .api import open_site
from .options import as_json
from .output import Failure, Progress, print_json, several, size


@click.command()
@click.argument("file", required=False, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--projects", is_flag=True, help="The projects' folders too.")
@as_json
def backup(file: Path | None, projects: bool, json_: bool) -> None:
    """Copy the whole site into FILE, while it runs.

    That is runs, models, artifacts, endpoints, members, secrets with their key, the audit log and settings. Whoever
    has the file has the site's data and identity: keep it where only you can read it. FILE is by default a name with
    site and date in this folder.
    """
    from ..service.backup import BackupError, back_up

    if not Site.exists():
        raise Failure(f"There is no site in {default_home()}.", "Set HIMALIA_HOME if yours lies elsewhere.")
    site = open_site()
    site.prepare()
    target = (file or Path(f"himalia-{site.id}-{time.strftime('%Y%m%dT%H%M%S')}.tar.gz")).absolute()
    steps = Progress(1, quiet=json_)
    steps.step("Backup")
    try:
        summary = back_up(site, target, with_projects=projects, progress=steps.update)
    except (BackupError, StoreRefused) as error:
        raise Failure(str(error)) from error
    except OSError as error:
        raise Failure(f"{target} cannot be written: {error.strerror}.", "Name a file where there is room.") from error
    finally:
        steps.close()
    if json_:
        print_json({"file": str(target), "bytes": target.stat().st_size, **asdict(summary)})
        return
    what = f"{several(len(summary.projects), 'project')}, {several(summary.files, 'file')}, {size(summary.size)}"
    click.echo(f"{target}: {what} in {size(target.stat().st_size)}.")
    if summary.projects and not projects:
        click.echo("The projects' own folders are not in it; --projects adds them.")


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--replace", is_flag=True, help="Move a site that is there aside first.")
@as_json
def restore(file: Path, replace: bool, json_: bool) -> None:
    """Bring the site back from a backup.

    It becomes what it was when FILE was written by `himalia backup`. The service must not run. The site's folder is
    $HIMALIA_HOME.
    """
    from ..service.backup import BackupError
    from ..service.backup import restore as put_back

    home = default_home()
    steps = Progress(1, quiet=json_)
    steps.step("Restore")
    try:
        summary = put_back(file.absolute(), home, replace=replace, progress=steps.update)
    except (BackupError, StoreRefused) as error:
        raise Failure(str(error)) from error
    except OSError as error:
        raise Failure(f"The backup cannot be restored: {error}.") from error
    finally:
        steps.close()
    if json_:
        print_json({**asdict(summary), "home": str(home), "home_before": summary.home})
        return
    then = datetime.fromtimestamp(summary.created_at).astimezone()
    click.echo(f"The site {summary.site} in {home} is as it was at {then:%Y-%m-%d %H:%M}. Start it: himalia up")

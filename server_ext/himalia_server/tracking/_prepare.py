"""Create or migrate an MLflow database: `python -P _prepare.py template|migrate <file>`. Run as a script.

A process of its own, because importing MLflow takes seconds and much memory that the service does not need.
Ends with 0, or 3 when the database is newer than this MLflow (the only failure the caller words itself).
"""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path

NEWER = 3


def main(task: str, path: Path) -> int:
    """Bring the SQLite database at *path* to the schema of the installed MLflow."""
    import sqlalchemy
    from alembic.script import ScriptDirectory
    from mlflow.store.db.utils import (
        _get_alembic_config,
        _get_latest_schema_revision,
        _get_schema_version,
        _safe_initialize_tables,
        _upgrade_db,
    )

    engine = sqlalchemy.create_engine(sqlalchemy.URL.create("sqlite", database=str(path)))
    try:
        if task == "template":
            _safe_initialize_tables(engine)
        else:
            known = {
                script.revision for script in ScriptDirectory.from_config(_get_alembic_config("")).walk_revisions()
            }
            if _get_schema_version(engine) not in known:
                return NEWER
            _upgrade_db(engine)
        reached = _get_schema_version(engine)
        expected = _get_latest_schema_revision()
    finally:
        engine.dispose()
    if reached != expected:
        raise SystemExit(f"the schema is {reached} after the migration, not {expected}")
    connection = sqlite3.connect(path)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
    finally:
        connection.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))

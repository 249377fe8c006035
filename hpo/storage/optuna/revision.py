"""Whether Optuna's tables in a database are those that the installed Optuna knows.

Optuna numbers the versions of its tables by itself, with alembic. From its release 3.2 to 5.0 they have been the same.
"""

from __future__ import annotations

import logging
from functools import cache

from sqlalchemy import Connection, inspect, text

from hpo.errors import StorageError

_TABLE = "alembic_version"


def check_revision(connection: Connection) -> None:
    """Refuse tables that another release of Optuna has made, if they differ from those of this one.

    Raises:
        StorageError: they differ, with what takes them here.
    """
    if not inspect(connection).has_table(_TABLE):
        return  # no Optuna has been here
    found = connection.execute(text(f"select version_num from {_TABLE}")).scalar()
    if found is None or found == needed_revision():
        return
    from hpo.words.masking import masked

    where = masked(connection.engine.url)
    is_older = found in _revisions()
    upgrade = f"stop everything that uses it, then: optuna storage upgrade --storage {where}"
    raise StorageError(
        f"{where}: Optuna's tables have version {found}; the Optuna that is installed here needs {needed_revision()}",
        hint=upgrade
        if is_older
        else "install the version of Optuna that the other nodes use: pip install --upgrade optuna",
    )


def needed_revision() -> str:
    """The version of the tables that the installed Optuna reads and writes."""
    return _revisions()[0]


@cache
def _revisions() -> list[str]:
    """All that the installed Optuna knows, the latest first."""
    logging.getLogger("alembic").setLevel(logging.WARNING)  # it tells what it loads
    from alembic.script import ScriptDirectory

    from hpo.optuna_private import MIGRATIONS

    return [script.revision for script in ScriptDirectory(str(MIGRATIONS)).walk_revisions()]

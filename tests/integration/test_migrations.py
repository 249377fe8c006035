"""A database made by an older release opens with the next: nothing in it is lost."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest
import sqlalchemy
from alembic.operations import Operations
from click.testing import CliRunner
from sqlalchemy import Column, Engine, Integer, insert, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from hpo.cli import cli
from hpo.errors import StorageError
from hpo.service import begin_study, delete_study
from hpo.storage import create_storage, migrate_storage, migrations, open_storage, tables
from hpo.storage.connection.url import parse_url
from tests.integration.helpers import make_study

GOLDEN = Path(__file__).parents[1] / "golden"


def written(dialect: sqlalchemy.Dialect) -> str:
    """The statements that make our tables."""
    statements = []
    for table in tables.metadata.sorted_tables:
        statements.append(str(CreateTable(table).compile(dialect=dialect)))
        statements += [
            str(CreateIndex(index).compile(dialect=dialect))
            for index in sorted(table.indexes, key=lambda index: str(index.name))
        ]
    return ";\n".join(" ".join(statement.split()) for statement in statements) + ";\n"


@pytest.mark.parametrize("dialect", [postgresql.dialect(), sqlite.dialect()], ids=lambda dialect: dialect.name)
def test_tables_change_with_their_version_only(dialect: sqlalchemy.Dialect) -> None:
    """To accept a change: raise SCHEMA_VERSION, add the step to hpo/storage/migrations.py, and save what is shown here
    as a new golden file. The older files stay: databases of those versions are out there."""
    golden = GOLDEN / f"schema-{tables.SCHEMA_VERSION}-{dialect.name}.sql"
    assert golden.read_text() == written(dialect)


def columns(engine: Engine) -> set[str]:
    """The columns of the cells."""
    return {column["name"] for column in sqlalchemy.inspect(engine).get_columns("hpo_cell")}


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
@pytest.mark.parametrize("version", range(1, tables.SCHEMA_VERSION))
def test_every_older_version(version: int, kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """From the tables of its golden file the steps lead to those of today."""
    url = f"sqlite:///{tmp_path}/old.db" if kind == "sqlite" else request.getfixturevalue("empty_postgres_url")
    engine = sqlalchemy.create_engine(parse_url(url))
    golden = GOLDEN / f"schema-{version}-{engine.dialect.name}.sql"
    with engine.begin() as connection:
        for statement in filter(None, golden.read_text().split(";\n")):
            connection.exec_driver_sql(statement)
        connection.execute(insert(tables.version).values(version=version))
        migrations.migrate(connection, version)
        assert tables.SCHEMA_VERSION == connection.execute(select(tables.version.c.version)).scalar()
    today = sqlalchemy.create_engine("sqlite://")
    tables.metadata.create_all(today)
    for name in tables.metadata.tables:
        [found, expected] = [
            {column["name"]: column["nullable"] for column in sqlalchemy.inspect(one).get_columns(name)}
            for one in (engine, today)
        ]
        assert expected == found
    for one in (engine, today):
        one.dispose()


def test_optuna_studies_from_before_they_were_marked(empty_postgres_url: str, tmp_path: Path) -> None:
    """They are taken for ours after the migration: the study goes on, and is deleted with them."""
    study = make_study(confirm={"seeds": 2})
    for url in (f"sqlite:///{tmp_path}/old.db", empty_postgres_url):
        engine = sqlalchemy.create_engine(parse_url(url))
        golden = GOLDEN / f"schema-2-{engine.dialect.name}.sql"
        names = ["digits/only", "digits/only/confirm"]
        for name in [*names, "theirs"]:
            optuna.create_study(study_name=name, storage=url, direction="maximize")
        row = {
            "name": study.name,
            "spec": study.model_dump_json(),
            "state": "running",
            "hpo_version": "0",
            "created": 1,
        }
        with engine.begin() as connection:
            for statement in filter(None, golden.read_text().split(";\n")):
                connection.exec_driver_sql(statement)
            connection.execute(insert(tables.version).values(version=2))
            connection.execute(insert(sqlalchemy.table("hpo_study", *map(sqlalchemy.column, row))).values(row))
        engine.dispose()
        storage = migrate_storage(url)
        uuid = begin_study(storage, study).uuid
        marks = {found.study_name: found.user_attrs.get("hpo") for found in storage.optuna.get_all_studies()}
        assert dict.fromkeys(names, uuid) | {"theirs": None} == marks
        delete_study(storage, study.name)
        assert ["theirs"] == [found.study_name for found in storage.optuna.get_all_studies()]
        storage.close()


CELL = {
    "arm": "only",
    "phase": "search",
    "slot": 0,
    "seed": 0,
    "state": "done",
    "attempts": 0,
    "claims": 1,
    "epochs": 2,
}
MEASURED = {"validation_loss": 0.1 + 0.2, "validation_accuracy": 0.5}
EPOCH = {"step": 3, "train_loss": None, "train_accuracy": 0.25, **MEASURED, "lr": 0.1}
TRACED = {"strengths": '{"l2": 0.001}', "gradient_norms": '{"output.weight": 2.5}', "images_per_second": 99.5}


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
@pytest.mark.parametrize("version", [1, 2, 3])
def test_numbers_of_older_versions(version: int, kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Every number that was measured has its name after the migration, to the last digit; nothing else is lost."""
    url = f"sqlite:///{tmp_path}/old.db" if kind == "sqlite" else request.getfixturevalue("empty_postgres_url")
    engine = sqlalchemy.create_engine(parse_url(url))
    golden = GOLDEN / f"schema-{version}-{engine.dialect.name}.sql"
    study = make_study()
    rows: list[tuple[str, dict[str, object]]] = [
        ("hpo_study", {"id": 7, "name": study.name, "spec": study.model_dump_json(), "state": "running"}),
        ("hpo_cell", CELL | {"id": 1200, "study_id": 7, "seconds": 1.5, "ended": "finished", "score": 0.5} | MEASURED),
        ("hpo_cell", CELL | {"id": 9, "study_id": 7, "slot": 1, "seconds": 0.0, "state": "planned"}),
        *(("hpo_curve", {"cell_id": 1200, "epoch": at, "seconds": 0.75} | EPOCH | TRACED) for at in (1, 2)),
        ("hpo_checkpoint", {"cell_id": 9, "content": b"saved", "saved": 1.0}),
    ]
    rows[0][1].update({"hpo_version": "0", "created": 1.0})
    with engine.begin() as connection:
        for statement in filter(None, golden.read_text().split(";\n")):
            connection.exec_driver_sql(statement)
        connection.execute(insert(tables.version).values(version=version))
        for name, row in rows:
            connection.execute(insert(sqlalchemy.table(name, *map(sqlalchemy.column, row))).values(row))
    engine.dispose()
    storage = migrate_storage(url)
    stored = storage.ledger.study(study.name)
    planned, done = sorted(storage.ledger.cells(stored.id), key=lambda cell: cell.id)
    assert (9, "planned", {}) == (planned.id, planned.state, planned.metrics)
    assert (1200, "finished", 0.5, 1.5, MEASURED) == (done.id, done.ended, done.score, done.seconds, done.metrics)
    named = EPOCH | {"strength.l2": 0.001, "gradient_norm.output.weight": 2.5, "images_per_second": 99.5}
    assert [(1200, at, 0.75, named) for at in (1, 2)] == [
        (point.cell_id, point.at, point.seconds, point.metrics) for point in storage.ledger.curves(stored.id)
    ]
    with storage.engine.connect() as connection:
        assert b"saved" == bytes(connection.execute(select(tables.checkpoint.c.content)).scalar_one())
    storage.close()


@pytest.fixture
def next_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """A release whose tables have one column more."""

    def add_priority(operations: Operations) -> None:
        operations.add_column("hpo_cell", Column("priority", Integer, server_default="7"))

    monkeypatch.setattr(tables, "SCHEMA_VERSION", tables.SCHEMA_VERSION + 1)
    monkeypatch.setattr(migrations, "STEPS", {tables.SCHEMA_VERSION: add_priority})


def test_an_older_database(storage_url: str, request: pytest.FixtureRequest) -> None:
    """The next release refuses to work on it until it has been migrated; then its studies are there as before."""
    storage = create_storage(storage_url)
    row = begin_study(storage, make_study())
    cells = storage.ledger.cells(row.id)
    storage.close()

    request.getfixturevalue("next_version")
    versions = f"its tables have version {tables.SCHEMA_VERSION - 1}; this hpo uses version {tables.SCHEMA_VERSION}"
    for way in (open_storage, create_storage):  # a launch does not migrate either
        with pytest.raises(StorageError, match=versions) as error:
            way(storage_url)
        assert "hpo migrate" in error.value.hint
    for _ in range(2):
        assert CliRunner().invoke(cli, ["migrate"], env={"HPO_STORAGE": storage_url}).exit_code == 0
    storage = open_storage(storage_url)
    assert "priority" in columns(storage.engine)
    assert cells == storage.ledger.cells(row.id)
    storage.close()


def test_a_step_that_fails_changes_nothing(
    storage_url: str, next_version: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tables stay as they were, and the next try succeeds."""
    steps = migrations.STEPS

    def broken(operations: Operations) -> None:
        operations.add_column("hpo_cell", Column("half", Integer))
        raise RuntimeError("no")

    monkeypatch.setattr(migrations, "STEPS", {tables.SCHEMA_VERSION: broken})
    with pytest.raises(RuntimeError):
        migrate_storage(storage_url)
    monkeypatch.setattr(migrations, "STEPS", steps)
    storage = migrate_storage(storage_url)
    assert "priority" in columns(storage.engine)
    assert "half" not in columns(storage.engine)
    storage.close()

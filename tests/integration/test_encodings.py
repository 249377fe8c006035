"""Databases that are not in UTF-8: every text comes back as it went in, or the database is refused by its encoding."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

import pytest
import sqlalchemy
from sqlalchemy import text

from hpo.errors import StorageError
from hpo.service import begin_study, find_study
from hpo.storage import create_storage, open_storage
from hpo.storage.connection.url import parse_url
from tests.integration.helpers import make_study, optuna_trials

TEXT = "Größe und λ, 😀"


@pytest.fixture
def database(empty_postgres_url: str) -> Iterator[Callable[[str], str]]:
    """Makes a database of an encoding, and returns its URL."""
    url, made = parse_url(empty_postgres_url), []
    engine = sqlalchemy.create_engine(url, isolation_level="AUTOCOMMIT")

    def execute(sql: str) -> None:
        with engine.connect() as connection:
            connection.execute(text(sql))

    def make(encoding: str) -> str:
        name = f"e{uuid.uuid4().hex[:12]}"
        execute(f"create database {name} template template0 encoding '{encoding}' lc_collate 'C' lc_ctype 'C'")
        made.append(name)
        return url.set(database=name).render_as_string(hide_password=False)

    yield make
    for name in made:
        execute(f"drop database {name} with (force)")
    engine.dispose()


def test_a_database_without_an_encoding(database: Callable[[str], str], monkeypatch: pytest.MonkeyPatch) -> None:
    """SQL_ASCII takes any bytes: texts come back whatever the terminal's encoding is, and foreign tools can read on."""
    url = database("SQL_ASCII")
    study = make_study().model_copy(update={"title": TEXT})
    for encoding in ("LATIN1", "UTF8"):
        monkeypatch.setenv("PGCLIENTENCODING", encoding)
        storage = create_storage(url)
        begin_study(storage, study)
        storage.ledger.register(encoding, TEXT, 1, TEXT, {"processor": TEXT})
        assert TEXT == find_study(storage, study.name)[1].title
        assert {(TEXT, TEXT)} == {(worker.host, worker.device) for worker in storage.ledger.workers()}
        storage.close()
    monkeypatch.delenv("PGCLIENTENCODING")
    assert [] == optuna_trials(url, study)


@pytest.mark.parametrize("opened", [create_storage, open_storage])
def test_a_database_that_lacks_characters(database: Callable[[str], str], opened: Callable[[str], object]) -> None:
    """It is refused before anything is made in it, with what to do."""
    url = database("LATIN1")
    with pytest.raises(StorageError, match="has the encoding LATIN1, which lacks most characters") as error:
        opened(url)
    assert "createdb -E UTF8" in error.value.hint
    engine = sqlalchemy.create_engine(parse_url(url))
    assert [] == sqlalchemy.inspect(engine).get_table_names()
    engine.dispose()

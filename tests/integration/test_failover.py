"""A primary that fails and a standby that takes its place: workers find it by themselves, and nothing is done twice."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from hpo.service import begin_study
from hpo.storage import Storage, create_storage, open_storage
from tests.conftest import start_postgres
from tests.integration.gate import Gate
from tests.integration.helpers import (
    Crew,
    check_study,
    holder_after,
    make_study,
    stored_curve,
    the_cell,
    undisturbed_curve,
    wait_until,
)
from tests.postgres import PostgresServer

DATABASE = "studies"


class Pair:
    """A primary and its standby, and one URL for both."""

    def __init__(self) -> None:
        self.primary = start_postgres()
        self.primary.execute(f"create database {DATABASE}")
        self.standby = PostgresServer(primary=self.primary).start()
        hosts = f"127.0.0.1:{self.primary.port},127.0.0.1:{self.standby.port}"
        login = f"hpo:{self.primary.password}"
        self.url = f"postgresql://{login}@{hosts}/{DATABASE}?target_session_attrs=read-write"

    def confirm_by_standby(self) -> None:
        """From now on nothing is committed that the standby does not have."""
        self.primary.execute("alter system set synchronous_standby_names = '*'")
        self.primary.execute("select pg_reload_conf()")
        synchronous = "select 1 from pg_stat_replication where sync_state = 'sync'"
        wait_until(lambda: self.primary.execute(synchronous))

    def part(self) -> None:
        """The standby follows no longer: what the primary commits from now on it will not have."""
        self.standby.execute("alter system set primary_conninfo = ''")
        self.standby.execute("select pg_reload_conf()")
        wait_until(lambda: not self.primary.execute("select 1 from pg_stat_replication"))

    def fail_over(self) -> None:
        """The primary's plug is pulled, and the standby takes its place."""
        self.primary.stop(signal.SIGQUIT)
        assert [(True,)] == self.standby.execute("select pg_promote()")

    def remove(self) -> None:
        """Both are gone."""
        self.standby.remove()
        self.primary.remove()


@pytest.fixture
def pair() -> Iterator[Pair]:
    """A primary that answers, and a standby that follows it."""
    made = Pair()
    yield made
    made.remove()


@pytest.fixture
def storage(pair: Pair) -> Iterator[Storage]:
    """An open storage on the two."""
    opened = create_storage(pair.url)
    yield opened
    opened.close()


@pytest.fixture
def crew(pair: Pair, tmp_path: Path) -> Iterator[Crew]:
    """Workers that know both hosts."""
    crew = Crew(pair.url, tmp_path)
    yield crew
    crew.kill()


@pytest.mark.slow
def test_a_standby_that_has_everything(pair: Pair, storage: Storage, crew: Crew, gate: Gate) -> None:
    """The trial in progress goes on, under the same lease, with the same curve; later the old one may come back."""
    pair.confirm_by_standby()
    study = make_study(trial=gate.trial)
    row = begin_study(storage, study)
    crew.start(lease=20.0)  # a machine that is busy must not let it run out
    holder_after(storage, crew, row, epochs=1)
    pair.fail_over()
    before = the_cell(storage, row).epochs
    wait_until(lambda: the_cell(storage, row).epochs > before)
    gate.open()
    [cell] = check_study(pair.standby.url(DATABASE), study.name, crew)
    assert 1 == cell.claims
    assert undisturbed_curve(study, cell) == stored_curve(storage, row, cell)

    # The old primary is the first host of the URL; as long as it is read-only nobody takes it for the database.
    pair.primary.settings["default_transaction_read_only"] = "on"
    pair.primary.start()
    begin_study(storage, make_study(name="later"))
    crew.start()
    check_study(pair.standby.url(DATABASE), "later", crew)
    assert [] == pair.primary.execute("select name from hpo_study where name = 'later'", DATABASE)


def test_a_standby_that_lags(pair: Pair, storage: Storage, crew: Crew, gate: Gate) -> None:
    """It knows nothing of the claim: the worker drops the trial, and it is trained from its beginning, once."""
    study = make_study(trial=gate.trial)
    row = begin_study(storage, study)
    has_study = "select 1 from information_schema.tables where table_name = 'hpo_cell'"
    wait_until(lambda: pair.standby.execute(has_study, DATABASE))
    wait_until(lambda: pair.standby.execute("select 1 from hpo_cell", DATABASE))
    pair.part()
    crew.start()
    holder_after(storage, crew, row, epochs=2)
    pair.fail_over()
    wait_until(lambda: "is lost: another worker continues it; dropped" in crew.said())
    gate.open()
    [cell] = check_study(pair.standby.url(DATABASE), study.name, crew)
    assert 1 == cell.claims  # as far as the new primary knows
    assert undisturbed_curve(study, cell) == stored_curve(storage, row, cell)
    with_one_host = open_storage(pair.standby.url(DATABASE))
    assert "done" == the_cell(with_one_host, row).state
    with_one_host.close()

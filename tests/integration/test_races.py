"""Many at once: starts on an empty database, two plans under one name, and verbs while workers run."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import update

from hpo.cli import cli
from hpo.errors import StudyError
from hpo.service import begin_study, find_study
from hpo.storage import Storage, open_storage, tables
from tests.integration.gate import Gate
from tests.integration.helpers import Crew, check_study, holder_after, make_study, wait_until

STUDY = """
name = "race"
[trial]
epochs = 2
batch_size = 32
data = {{ kind = "digits", validation = 0.2, train_limit = 200 }}
model = {{ kind = "mlp", hidden = [8] }}
optimizer = {{ kind = "sgd" }}
lr = {{ kind = "constant", peak = 0.1 }}
[arms.grid]
search."lr.peak" = {{ values = {values} }}
"""

Start = Callable[..., BaseProcess]


def command(arguments: list[str], url: str, log: str) -> None:
    """The command `hpo` in a process of its own, what it says in a file."""
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.environ["HPO_STORAGE"] = url
    cli.main(arguments, prog_name="hpo")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts commands, quickly: each is forked from a process that has torch loaded already."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["hpo.worker", "hpo.study.file", "sklearn.datasets", __name__])
    processes: list[BaseProcess] = []

    def begin(url: str, *arguments: str) -> BaseProcess:
        log = str(tmp_path / f"{len(processes)}.log")
        process = context.Process(target=command, args=(list(arguments), url, log), name=log)
        process.start()
        processes.append(process)
        return process

    yield begin
    for process in processes:
        process.kill()
        process.join()


def said(processes: list[BaseProcess]) -> str:
    """All that they said."""
    return "\n".join(Path(process.name).read_text() for process in processes)


def write(folder: Path, name: str, values: str) -> str:
    """A study file with these values in its grid."""
    path = folder / f"{name}.toml"
    path.write_text(STUDY.format(values=values))
    return str(path)


@pytest.mark.slow
def test_sixteen_workers_and_three_launches_on_an_empty_database(
    start: Start, empty_postgres_url: str, tmp_path: Path
) -> None:
    """One schema, one plan, every cell once; workers that come first wait for the study."""
    file = write(tmp_path, "study", "[0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08]")
    workers = [start(empty_postgres_url, "worker", "--forever", "--device=cpu") for _ in range(16)]
    launches = [start(empty_postgres_url, "launch-study", file, "--workers", "0") for _ in range(3)]
    for launch in launches:
        launch.join()
    assert [0, 0, 0] == [launch.exitcode for launch in launches], said(launches)

    storage = open_storage(empty_postgres_url)
    row = storage.ledger.study("race")
    wait_until(lambda: all(cell.state == "done" for cell in storage.ledger.cells(row.id)))
    for worker in workers:
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGTERM)
    for worker in workers:
        worker.join()
    assert {0} == {worker.exitcode for worker in workers}, said(workers)
    storage.close()
    assert 8 == len(check_study(empty_postgres_url, "race", Crew(empty_postgres_url, tmp_path)))
    assert "Traceback" not in said(workers + launches)


def test_two_plans_under_one_name(start: Start, postgres_url: str, tmp_path: Path) -> None:
    """One of them is taken, the other refused with what differs; the one that is there is whole."""
    files = [write(tmp_path, "one", "[0.1, 0.2]"), write(tmp_path, "other", "[0.1, 0.2, 0.3]")]
    launches = [start(postgres_url, "launch-study", file, "--workers", "0") for file in files * 2]
    for launch in launches:
        launch.join()
    assert [0, 0, 2, 2] == sorted(launch.exitcode or 0 for launch in launches), said(launches)
    assert said(launches).count("and it differs") == 2
    assert "Traceback" not in said(launches)
    storage = open_storage(postgres_url)
    cells = storage.ledger.cells(storage.ledger.study("race").id)
    assert len(cells) == (2 if launches[0].exitcode == 0 else 3)
    storage.close()


def test_deleted_while_workers_run(postgres_url: str, tmp_path: Path, gate: Gate) -> None:
    """The workers drop it and leave without a traceback; nothing of it stays, and its name is free."""
    storage = open_storage(postgres_url)
    row = begin_study(
        storage, make_study({"grid": {"search": {"lr.peak": {"values": [0.01, 0.02, 0.03]}}}}, trial=gate.trial)
    )
    crew = Crew(postgres_url, tmp_path)
    crew.start(2)
    holder_after(storage, crew, row, epochs=1)
    assert CliRunner().invoke(cli, ["delete", "digits", "--yes"], env={"HPO_STORAGE": postgres_url}).exit_code == 0
    crew.wait()
    assert "Traceback" not in crew.said()
    with storage.engine.connect() as connection:
        for table in (tables.study, tables.cell, tables.curve, tables.checkpoint):
            assert [] == connection.execute(table.select()).all()
    assert [] == storage.optuna.get_all_studies()
    begin_study(storage, make_study())
    storage.close()


def test_a_plan_of_another_version(postgres_url: str, tmp_path: Path) -> None:
    """A worker that can't read it says so and ends; the cells stay planned."""
    storage = open_storage(postgres_url)
    row = begin_study(storage, make_study())
    with storage.engine.begin() as connection:
        spec = row.spec.replace('"protocol":{', '"protocol":{"tournament":"swiss",')
        connection.execute(update(tables.study).values(spec=spec, hpo_version="9.0.0"))
    for verb in ("worker", "report"):
        result = CliRunner().invoke(cli, [verb, "digits", "--device=cpu"][: 3 if verb == "worker" else 2],
                                    env={"HPO_STORAGE": postgres_url})  # fmt: skip
        assert result.exit_code == 2, result.output
        assert "planned by another version of hpo (9.0.0)" in result.stderr
        assert "tournament" in result.stderr
    assert ["planned"] == [cell.state for cell in storage.ledger.cells(row.id)]
    storage.close()


def test_words_corrected(storage: Storage) -> None:
    """A corrected title and another number of attempts are taken over by a launch; anything else is refused still."""
    row = begin_study(storage, make_study(attempts=2))
    corrected = make_study(attempts=7).model_copy(update={"title": "In better words"})
    assert row.uuid == begin_study(storage, corrected).uuid
    assert corrected == find_study(storage, "digits")[1]
    with pytest.raises(StudyError, match=r"trial\.epochs: 3 -> 4") as error:
        begin_study(storage, make_study(attempts=9, trial={"epochs": 4}))
    assert "attempts" not in str(error.value)

"""A worker that is killed or asked to leave in the middle of a trial: another continues it as if nothing had been."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest
from click.testing import CliRunner
from sqlalchemy import select

from hpo.cli import cli
from hpo.service import begin_study
from hpo.storage import Storage
from hpo.storage.optuna.trials import Trials
from hpo.storage.rows import Cell, StudyRow
from hpo.storage.tables import checkpoint as checkpoint_table
from hpo.study import StudySpec
from hpo.trainers.images.evaluation import Evaluation
from hpo.trainers.images.loop import Decision, fit
from tests.integration.gate import EPOCHS, Gate
from tests.integration.helpers import (
    Crew,
    check_study,
    holder_after,
    make_study,
    restored,
    stored_curve,
    the_cell,
    trained,
    undisturbed_curve,
    work_here,
)


def check_continued(storage: Storage, row: StudyRow, study: StudySpec, before: Cell, after: Cell) -> None:
    """`after` went on where `before` was: the same trial, no epoch twice, the curve of an undisturbed run."""
    assert before.trial_id == after.trial_id
    assert (2, True) == (after.claims, before.worker != after.worker)
    curve = storage.ledger.curves(row.id)
    assert sum(point.seconds for point in curve) == pytest.approx(after.seconds)
    assert undisturbed_curve(study, after) == stored_curve(storage, row, after)


def test_killed_in_the_middle(storage: Storage, postgres_url: str, crew: Crew, gate: Gate) -> None:
    """SIGKILL: when the lease has run out, another worker continues the same Optuna trial from its checkpoint."""
    study = make_study(trial=gate.trial)
    row = begin_study(storage, study)
    crew.start(2, study.name)
    victim, before = holder_after(storage, crew, row, epochs=2)
    victim.process.kill()
    gate.open()
    (after,) = check_study(postgres_url, study.name, crew)
    check_continued(storage, row, study, before, after)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_asked_to_leave(storage: Storage, postgres_url: str, crew: Crew, gate: Gate, number: signal.Signals) -> None:
    """SIGTERM and SIGINT: the worker saves, lets go and exits 0 long before its lease ends; the next one continues."""
    study = make_study(trial=gate.trial)
    row = begin_study(storage, study)
    crew.start(1, study.name, lease=600.0, checkpoint_every=600.0)
    worker, before = holder_after(storage, crew, row, epochs=2)
    worker.process.send_signal(number)
    crew.wait(30.0)
    left = the_cell(storage, row)
    assert ("planned", 0) == (left.state, left.attempts)
    assert 2 <= left.epochs < EPOCHS
    with storage.engine.connect() as connection:
        saved = connection.execute(select(checkpoint_table.c.content)).scalar_one()
    assert left.epochs == restored(study, left, saved).clock.epoch

    gate.open()
    crew.start(1, study.name)
    (after,) = check_study(postgres_url, study.name, crew)
    check_continued(storage, row, study, before, after)


@pytest.mark.slow
def test_stopped_and_resumed(storage: Storage, postgres_url: str, crew: Crew, gate: Gate) -> None:
    """`hpo stop`: the worker lets go and leaves, no other begins; after `hpo resume` the study is done as usual."""
    study = make_study(trial=gate.trial)
    row = begin_study(storage, study)
    crew.start(1, study.name)
    _, before = holder_after(storage, crew, row, epochs=2)
    assert 0 == CliRunner().invoke(cli, ["stop", study.name], env={"HPO_STORAGE": postgres_url}).exit_code
    crew.wait(30.0)
    assert "planned" == the_cell(storage, row).state
    assert None is storage.ledger.claim("another", 60.0)

    assert 0 == CliRunner().invoke(cli, ["resume", study.name], env={"HPO_STORAGE": postgres_url}).exit_code
    gate.open()
    crew.start(1, study.name)
    (after,) = check_study(postgres_url, study.name, crew)
    check_continued(storage, row, study, before, after)


def test_killed_with_the_last_epoch_done(storage: Storage, postgres_url: str, crew: Crew) -> None:
    """If its record was the last thing that it wrote, the next worker writes the rest and trains nothing again."""
    study = make_study()
    row = begin_study(storage, study)
    lease = storage.ledger.claim("killed", -1.0)
    assert lease is not None
    trials, spec = Trials(storage, study), study.trial_of("only", {"lr.peak": 0.05})
    trial, _ = trials.begin(lease)
    images, scores = trained(study, lease.cell)[1], []

    def record(evaluation: Evaluation, checkpoint: Callable[[], bytes]) -> Decision:
        trial.report(evaluation.validation.accuracy, evaluation.epoch)
        storage.ledger.record(lease, [evaluation.reported()], -1.0, checkpoint(), trials.changes(trial))
        scores.append(evaluation.validation)
        return Decision.CONTINUE

    fit(spec, lease.cell.seed, images, record)
    before = the_cell(storage, row)
    work_here(storage)
    (after,) = check_study(postgres_url, study.name, crew)
    check_continued(storage, row, study, before, after)
    assert (scores[-1].accuracy, scores[-1].loss) == (after.score, after.metrics.get("validation_loss"))

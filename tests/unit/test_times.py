"""Where a study's time went, worked by hand from what was told with the units of its trials."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from hpo.storage.rows import CurvePoint
from hpo.trainers.trainer import Evaluation
from hpo.watch.times import StudyTimes, advice, study_times, summed
from hpo.worker.spent import Spent, in_vain
from tests.unit.report_samples import cell, study

FIRST = {"seconds.scoring": 0.5, "seconds.starting": 2.0, "seconds.repeated": 3.0}
LAST = {"seconds.scoring": 0.5, "seconds.storing": 0.25, "seconds.at_end": 0.75}


def points(cell_id: int) -> list[CurvePoint]:
    """Two epochs of two seconds each."""
    return [CurvePoint(cell_id, 1, 2.0, FIRST), CurvePoint(cell_id, 2, 2.0, LAST)]


def test_summed() -> None:
    """Scoring at the end lies beside the seconds of epochs, scoring within them does not."""
    found = summed(points(1))
    assert (3.0, 1.75, 2.0, 0.25, 3.0) == (
        found.training,
        found.scoring,
        found.starting,
        found.storing,
        found.repeated,
    )
    assert (10.0, 2, 0.3) == (found.total, found.units, found.share("training"))


def test_a_program_tells_nothing_of_scoring() -> None:
    """Which is not known then, and not nothing."""
    found = summed([CurvePoint(1, 1, 4.0, {"validation_loss": 0.5})])
    assert (1.0, None, 0.0) == tuple(map(found.share, ("training", "scoring", "storing")))


def test_each_arm_has_its_own_and_what_another_trial_trained_counts_once() -> None:
    """The second cell of ramp has gone on after the first epoch of another."""
    cells = [replace(cell("ramp", "search", 1, epochs=2), leader_epochs=1), cell("grid", "search", 2, epochs=2)]
    ramp, grid = cells[0].id, cells[1].id
    found = study_times(study(), cells, [*points(ramp), *points(grid), *points(999)])
    assert {"grid": 2, "ramp": 1} == {arm: times.units for arm, times in found.items()}
    assert 0.0 == found["ramp"].starting


def test_in_vain_is_all_that_is_written_anew() -> None:
    """With what was in vain before that: it stands in points that are overwritten."""
    assert 3.0 == in_vain(points(1), 2)
    assert 2.0 + 2.0 + 3.0 + 3.0 == in_vain(points(1), 1)
    assert 0.0 == in_vain(points(1), 3)


def test_told_with_the_units_of_an_attempt() -> None:
    """The first one has the start, later ones what lies between; nothing that is too short to matter."""
    claimed = time.monotonic() - 10.0
    spent = Spent(claimed)
    first = spent.told(Evaluation(1, 4.0, {"validation_loss": 1.0}), repeated=0.0)
    assert first.metrics == {"validation_loss": 1.0, "seconds.starting": pytest.approx(6.0, abs=0.9)}
    spent.goes_on()
    assert {} == spent.told(Evaluation(2, 4.0, {}), repeated=0.0).metrics, "another worker began this unit"
    spent.goes_on()
    assert {"seconds.repeated": 1.5} == spent.told(Evaluation(3, 4.0, {}), repeated=1.5).metrics


def test_advice() -> None:
    """A line for what is out of proportion, by the arms where it is."""
    fast, slow = summed([CurvePoint(1, 1, 4.0, {"seconds.scoring": 0.1})]), summed(points(1))
    quiet = StudyTimes("epoch", {"fast": fast}, fast, workers=1, lifetime=10.0, waiting=2.0)
    assert [] == list(advice(quiet))
    loud = list(advice(replace(quiet, arms={"fast": fast, "slow": slow}, waiting=5.0)))
    assert ["repeated", "workers"] == [line.split()[0] for line in loud]
    assert "repeated took up to 30 % of the time of slow: workers were killed" in loud[0]
    assert "workers had no trial for 50 % of their time" in loud[1]

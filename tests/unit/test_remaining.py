"""What is left of a study, in epochs and in time, and the state that follows: counts worked by hand."""

from __future__ import annotations

from typing import Any

import pytest

from hpo.storage.rows import ArmProgress
from hpo.study import StudySpec
from hpo.watch.remaining import Left, about, left, seconds_left
from hpo.watch.state import state_of
from tests.unit.test_plan import GRID, TPE, study

MEDIAN = {"pruner": {"kind": "median"}}


def counts(arm: str, phase: str = "search", **fields: Any) -> ArmProgress:
    """Of an arm of trials of ten epochs, each of a second, all those that are done in full unless said otherwise."""
    plain: dict[str, Any] = dict.fromkeys(
        ("planned", "leased", "stale", "done", "failed", "pruned", "diverged", "seeds", "done_epochs"), 0
    )
    given = plain | {"epochs": 10 * fields.get("done", 0), "best": None} | fields
    following = {"seconds": float(given["epochs"]), "done_epochs": given["epochs"]}
    return ArmProgress(arm=arm, phase=phase, **following | given)


@pytest.mark.parametrize(
    ("given", "progress", "expected"),
    [
        # Nothing begun: all of the search, and the confirm phase that will follow.
        (
            study({"g": GRID}, confirm={"top": 2, "seeds": 4}),
            [counts("g", planned=3)],
            [Left("g", "search", 30, 30, 10), Left("g", "confirm", 80, 80, 10)],
        ),
        # One trial in work, of which four epochs are trained.
        (study({"g": GRID}), [counts("g", planned=1, leased=1, done=1, epochs=14)], [Left("g", "search", 16, 16, 10)]),
        # The search is done and the confirm phase not yet planned; of one that is planned, what is open.
        (study({"g": GRID}, confirm={"seeds": 2}), [counts("g", done=3)], [Left("g", "confirm", 20, 20, 10)]),
        (
            study({"g": GRID}, confirm={"seeds": 2}),
            [counts("g", done=3), counts("g", "confirm", planned=1, done=1)],
            [Left("g", "confirm", 10, 10, 10)],
        ),
        # All have failed: nothing can be confirmed.
        (study({"g": GRID}, confirm={"seeds": 2}), [counts("g", failed=3, epochs=7)], []),
        # A budget in trials: each open one may be pruned after an epoch.
        (
            study({"t": TPE}, budget={"trials": 4}, **MEDIAN),
            [counts("t", planned=2, done=2)],
            [Left("t", "search", 2, 20, 10)],
        ),
        # A budget in epochs: what pruning saves is spent on further trials, but for less than a trial.
        (
            study({"t": TPE}, budget={"epochs": 40}, **MEDIAN),
            [counts("t", planned=2, done=2, pruned=1, epochs=13)],
            [Left("t", "search", 18, 27, 10)],
        ),
        (study({"t": TPE}, budget={"epochs": 40}, **MEDIAN), [counts("t", done=4, pruned=1, epochs=33)], []),
        (
            study({"t": TPE}, budget={"epochs": 40}, **MEDIAN),
            [counts("t", done=4, pruned=2, epochs=26)],
            [Left("t", "search", 5, 14, 10)],
        ),
        # An audit: of the trials that are pruned, or may still be.
        (
            study({"t": TPE}, budget={"trials": 4}, audit=3, **MEDIAN),
            [counts("t", planned=1, done=3, pruned=1, epochs=22)],
            [Left("t", "search", 1, 10, 10), Left("t", "audit", 10, 20, 10)],
        ),
    ],
)
def test_what_is_left(given: StudySpec, progress: list[ArmProgress], expected: list[Left]) -> None:
    """Of all that will be planned: at least and at most so many epochs."""
    assert expected == left(given, progress)


def test_the_time_that_takes() -> None:
    """21 trials of ten seconds to come behind one that is nearly done: of all of them, not of the last second."""
    progress = [counts("g", leased=1, done=2, epochs=29)]
    remaining = left(study({"g": GRID}, confirm={"top": 3, "seeds": 7}), progress)
    assert (211.0, 211.0) == seconds_left(remaining, progress, workers=1)
    # Two workers: half of it, and at most half of the last trial of each phase more.
    assert (105.5, 111.0) == seconds_left(remaining, progress, workers=2)


def test_each_arm_has_its_pace() -> None:
    """An epoch of one takes twice as long as one of the other; an arm without any takes the mean of all."""
    progress = [counts("g", planned=1, done=1, seconds=20.0), counts("h", planned=1, done=1), counts("i", planned=2)]
    remaining = left(study({"g": GRID, "h": GRID, "i": GRID}), progress)
    assert (60.0, 60.0) == seconds_left(remaining, progress, workers=1)


def test_nothing_is_known() -> None:
    """Before the first epoch, without a worker, and when nothing is left."""
    given, begun = study({"g": GRID}), [counts("g", planned=2, done=1)]
    assert None is seconds_left(left(given, [counts("g", planned=3)]), [counts("g", planned=3)], workers=1)
    assert None is seconds_left(left(given, begun), begun, workers=0)
    assert None is seconds_left(left(given, [counts("g", done=3)]), [counts("g", done=3)], workers=1)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        ((0.0, 0.4), "at most 1 second"),
        ((20.0, 41.5), "about 20 to 42 seconds"),
        ((211.0, 211.0), "about 3 to 4 minutes"),
        ((180.0, 299.0), "about 3 to 5 minutes"),
        ((240.0, 240.0), "about 4 minutes"),
        ((30.0, 200.0), "at most 4 minutes"),
        ((7000.0, 7300.0), "about 1 to 3 hours"),
        ((86_400.0, 300_000.0), "about 1 to 4 days"),
    ],
)
def test_a_range_in_words(seconds: tuple[float, float], words: str) -> None:
    """In the unit that suits its end."""
    assert words == about(seconds)


REST = [Left("g", "search", 10, 10, 10)]


@pytest.mark.parametrize(
    ("stored", "progress", "remaining", "alive", "state"),
    [
        ("running", counts("g", planned=3), REST, 0, "planned"),
        ("running", counts("g", planned=3), REST, 2, "planned"),
        ("running", counts("g", planned=2, leased=1), REST, 1, "running"),
        ("running", counts("g", planned=2, leased=1), REST, 0, "waiting for workers"),
        ("running", counts("g", planned=2, leased=1, stale=1), REST, 1, "waiting for workers"),
        ("running", counts("g", planned=2, done=1), REST, 0, "waiting for workers"),
        ("running", counts("g", planned=2, failed=1), REST, 0, "waiting for workers"),
        ("running", counts("g", done=3), REST, 0, "waiting for workers"),
        ("running", counts("g", done=3), [], 1, "finished"),
        ("finished", counts("g", done=2, failed=1), [], 0, "finished"),
        ("running", counts("g", failed=3), [], 0, "failed"),
        ("finished", counts("g", failed=3), [], 0, "failed"),
        ("failed", counts("g", planned=3), REST, 1, "failed"),
        ("stopped", counts("g", planned=3), REST, 1, "stopped"),
        ("stopped", counts("g", leased=1), REST, 1, "stopped"),
        ("stopped", counts("g", done=3), [], 0, "finished"),
    ],
)
def test_states(stored: str, progress: ArmProgress, remaining: list[Left], alive: int, state: str) -> None:
    """From what is stored, the cells, what is left, and the workers that are alive."""
    assert state == state_of(stored, [progress], remaining, alive)

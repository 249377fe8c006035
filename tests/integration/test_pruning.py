"""A study with TPE and pruning from its plan to its confirm phase, on SQLite with one worker."""

from __future__ import annotations

from pathlib import Path

import pytest
from optuna.trial import FrozenTrial, TrialState

from hpo.evidence.ranking import ranking
from hpo.service import begin_study, is_done
from hpo.storage import create_storage
from hpo.storage.rows import Cell
from hpo.storage.states import CONFIRM, SEARCH
from hpo.trainers.images.reported import OBJECTIVE
from tests.integration.helpers import make_study, optuna_trials, work_here

EPOCHS, BUDGET = 6, 90
SEARCH_SPACE = {
    "lr.peak": {"low": 1e-4, "high": 1.0, "log": True},
    "regularizers.l2.strength": {"low": 1e-5, "high": 1e-1, "log": True},
}
STUDY = make_study(
    {
        "hold": {"sampler": {"kind": "tpe", "startup": 5}, "search": SEARCH_SPACE},
        "ramp": {
            "trial": {"regularizers": {"l2": {"policy": {"kind": "ramp", "direction": "down"}}}},
            "sampler": {"kind": "tpe", "startup": 5},
            "search": SEARCH_SPACE,
        },
    },
    trial={"epochs": EPOCHS, "data": {"train_limit": 100}},
    budget={"epochs": BUDGET},
    pruner={"kind": "median", "startup": 3, "warmup": 2, "every": 2},
    confirm={"top": 2, "seeds": 3},
)

Done = tuple[list[Cell], dict[int | None, FrozenTrial]]


def run_study(folder: Path) -> Done:
    """Its cells, and Optuna's trials by id."""
    url = f"sqlite:///{folder / 'hpo.db'}"
    storage = create_storage(url)
    row = begin_study(storage, STUDY)
    work_here(storage)
    assert is_done(storage, row, STUDY)
    cells = storage.ledger.cells(row.id)
    storage.close()
    return cells, {trial._trial_id: trial for trial in optuna_trials(url, STUDY)}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """The study, run once for all tests here."""
    return run_study(tmp_path_factory.mktemp("pruning"))


def test_pruned_trials(done: Done) -> None:
    """Some are: they end at a rung before the last epoch, and Optuna has them as pruned."""
    cells, trials = done
    pruned = [cell for cell in cells if cell.ended == "pruned"]
    assert pruned
    assert {2, 4} >= {cell.epochs for cell in pruned}
    assert {TrialState.PRUNED} == {trials[cell.trial_id].state for cell in pruned}
    assert {TrialState.COMPLETE} == {trials[cell.trial_id].state for cell in cells if cell not in pruned}
    searched = [trials[cell.trial_id] for cell in cells if cell.phase == SEARCH]
    assert {(2,), (2, 4), (2, 4, 6)} == {tuple(sorted(trial.intermediate_values)) for trial in searched}
    assert {SEARCH} == {cell.phase for cell in pruned}


@pytest.mark.parametrize("arm", STUDY.arms)
def test_the_budget_is_spent(done: Done, arm: str) -> None:
    """What pruning saves goes into further trials, until no whole one fits; never more than the budget."""
    searched = [cell for cell in done[0] if (cell.arm, cell.phase) == (arm, SEARCH)]
    assert BUDGET // EPOCHS < len(searched)
    assert BUDGET - EPOCHS < sum(cell.epochs for cell in searched) <= BUDGET


def test_the_confirm_phase(done: Done) -> None:
    """The best two of each arm, with the same fresh seeds in both, and scored on the test images there alone."""
    cells, _ = done
    seeds = {}
    for arm in STUDY.arms:
        best = [c.params for c in ranking(OBJECTIVE, [cell for cell in cells if cell.arm == arm])[:2]]
        confirmed = [cell for cell in cells if (cell.arm, cell.phase) == (arm, CONFIRM)]
        assert best == [next(c.params for c in confirmed if c.slot == rank) for rank in range(2)]
        seeds[arm] = [(cell.slot, cell.seed) for cell in confirmed]
    assert seeds["hold"] == seeds["ramp"]
    assert 6 == len(set(seeds["hold"]))
    assert not {cell.seed for cell in cells if cell.phase == SEARCH} & {seed for _, seed in seeds["hold"]}
    assert {SEARCH: {False}, CONFIRM: {True}} == {
        phase: {cell.metrics.get("test_accuracy") is not None for cell in cells if cell.phase == phase}
        for phase in (SEARCH, CONFIRM)
    }


def test_a_second_time(done: Done, tmp_path: Path) -> None:
    """One worker, the same seed: the same proposals, the same trials pruned, the same scores."""

    def results(cells: list[Cell]) -> list[object]:
        return [(cell.arm, cell.phase, cell.slot, cell.params, cell.ended, cell.epochs, cell.score) for cell in cells]

    again, _ = run_study(tmp_path)
    assert results(done[0]) == results(again)

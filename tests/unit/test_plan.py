"""From a study to its cells, and from what has been run to what follows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from hpo.errors import StudyFileError
from hpo.evidence.ranking import ranking
from hpo.plan import changes, first_cells
from hpo.search.space import Params
from hpo.storage.rows import Cell, PlannedCell
from hpo.study import StudySpec
from hpo.study.checks.budgets import ArmPlan, arm_plans
from hpo.study.file import parse
from hpo.study.protocol import Protocol
from hpo.trainers.images.reported import OBJECTIVE

GRID: dict[str, Any] = {"search": {"lr.peak": {"values": [0.1, 0.2, 0.3]}}}
TPE: dict[str, Any] = {"sampler": {"kind": "tpe"}, "search": {"lr.peak": {"low": 0.01, "high": 1.0}}}


SEED = Protocol().seed_of("search", 1, 0)
"""The first seed of a search, of a study that says nothing else."""


def study(arms: dict[str, Any], **protocol: Any) -> StudySpec:
    """Of trials of ten epochs."""
    trial = {
        "epochs": 10,
        "batch_size": 32,
        "data": {"kind": "digits"},
        "model": {"kind": "mlp", "hidden": [8]},
        "optimizer": {"kind": "sgd"},
        "lr": {"kind": "constant", "peak": 0.1},
    }
    return parse({"name": "s", "trial": trial, "arms": arms, "protocol": protocol})


def done(
    cell: PlannedCell,
    epochs: int = 10,
    ended: str = "finished",
    score: float = 0.5,
    params: Params | None = None,
) -> Cell:
    """The cell after it has been run; `params` are what its sampler proposed."""
    planned = replace(state(cell, "done"), params=cell.params or params or {"lr.peak": 0.01 * (cell.slot + 1)})
    return replace(planned, epochs=epochs, ended=ended, score=score)


def state(cell: PlannedCell, state: str, epochs: int = 0) -> Cell:
    return Cell(
        id=0,
        arm=cell.arm,
        phase=cell.phase,
        slot=cell.slot,
        seed=cell.seed,
        params=cell.params,
        state=state,
        attempts=0,
        failed_by=None,
        claims=0,
        trial_id=None,
        leader=None,
        leader_epochs=None,
        trial_number=None,
        epochs=epochs,
        seconds=0.0,
        ended=None,
        score=None,
        metrics={},
        error=None,
        reason=None,
        worker=None,
        started=None,
        finished=None,
    )


def next_cells(plan: StudySpec, cells: Sequence[Cell]) -> list[PlannedCell]:
    """What is planned beside `cells`."""
    return list(changes(plan, cells).added)


def spent(cells: Sequence[Cell | PlannedCell], per_trial: int = 10) -> int:
    """Epochs of the cells that are done, and of the others as they are planned."""
    return sum(cell.epochs if isinstance(cell, Cell) and cell.ended else per_trial for cell in cells)


# --- budgets


@pytest.mark.parametrize(
    ("arms", "protocol", "expected"),
    [
        ({"g": GRID}, {}, [ArmPlan("g", 3, 10, 30)]),
        ({"g": GRID}, {"repeats": 4}, [ArmPlan("g", 12, 10, 120)]),
        ({"g": {}}, {}, [ArmPlan("g", 1, 10, 10)]),
        ({"g": GRID}, {"budget": {"epochs": 45}}, [ArmPlan("g", 3, 10, 45)]),
        ({"t": TPE}, {"budget": {"epochs": 45}}, [ArmPlan("t", 4, 10, 45)]),
        ({"t": TPE}, {"budget": {"trials": 7}}, [ArmPlan("t", 7, 10, 70)]),
        # Without a budget: as many epochs as the largest grid.
        (
            {"t": TPE, "g": GRID, "one": {}},
            {},
            [ArmPlan("t", 3, 10, 30), ArmPlan("g", 3, 10, 30), ArmPlan("one", 1, 10, 10)],
        ),
        (
            {"t": TPE | {"trial": {"epochs": 4}}, "g": GRID},
            {},
            [ArmPlan("t", 7, 4, 30), ArmPlan("g", 3, 10, 30)],
        ),
        (
            {"t": TPE, "g": GRID | {"trial": {"epochs": 20}}},
            {},
            [ArmPlan("t", 6, 10, 60), ArmPlan("g", 3, 20, 60)],
        ),
        # An arm's own budget goes before the protocol's.
        (
            {"t": TPE | {"budget": {"trials": 2}}, "u": TPE},
            {"budget": {"epochs": 50}},
            [ArmPlan("t", 2, 10, 20), ArmPlan("u", 5, 10, 50)],
        ),
    ],
)
def test_arm_plans(arms: dict[str, Any], protocol: dict[str, Any], expected: list[ArmPlan]) -> None:
    """Cells, epochs per cell and the arm's budget in epochs."""
    assert expected == arm_plans(study(arms, **protocol))


@pytest.mark.parametrize(
    ("arms", "protocol", "message"),
    [
        ({"t": TPE, "u": TPE}, {}, r"protocol\.budget: missing; t, u needs one"),
        (
            {"g": GRID},
            {"budget": {"epochs": 29}},
            r"arms\.g: the grid's 3 trials of 10 epochs need 30 epochs, the budget is 29",
        ),
        ({"g": GRID}, {"budget": {"trials": 2}}, "need 30 epochs, the budget is 20"),
        ({"g": GRID}, {"budget": {"epochs": 30}, "repeats": 2}, "the grid's 6 trials .* need 60 epochs"),
        (
            {"t": TPE},
            {"budget": {"epochs": 9}},
            r"arms\.t: one trial of 10 epochs needs 10 epochs, the budget is 9",
        ),
        ({"t": TPE}, {"budget": {"trials": 10_001}}, r"^protocol\.budget\.trials: 10,001 trials in t; at most 10,000"),
        (
            {"t": TPE | {"budget": {"epochs": 100_019}}},
            {"budget": {"trials": 1}},
            r"^arms\.t\.budget\.epochs: 100,019 epochs are 10,001 trials of 10 epochs in t; at most 10,000",
        ),
        (
            {"g": GRID | {"trial": {"epochs": 40_000}}, "t": TPE},
            {},
            r"^protocol\.budget: without one, t has the largest grid's epochs, which are 12,000 trials; at most 10,000",
        ),
        ({"g": GRID}, {"repeats": 1000, "budget": {"epochs": 10**9}}, None),
        (
            {"g": {"search": {"lr.peak": {"values": [0.1 * i for i in range(1, 12)]}}}},
            {"repeats": 1000},
            r"^arms\.g\.search: the grid has 11,000 trials \(11 points, protocol\.repeats = 1000\); at most 10,000",
        ),
        (
            {"t": TPE},
            {"budget": {"trials": 100}, "confirm": {"top": 100, "seeds": 1000}},
            r"^protocol\.confirm: 1000 seeds for each of the best 100 are 100,000 trials in t; .*: lower seeds or top$",
        ),
        (
            {f"t{number}": TPE for number in range(21)},
            {"budget": {"trials": 10_000}},
            r"^arms: 210,000 trials in all, at most 200,000 are allowed in one study.*; split it into several studies$",
        ),
    ],
)
def test_budget_refused(arms: dict[str, Any], protocol: dict[str, Any], message: str | None) -> None:
    """The arm is named, with what it needs and what it has."""
    if message is None:
        assert 3000 == arm_plans(study(arms, **protocol))[0].cells
        return
    with pytest.raises(StudyFileError, match=message):
        arm_plans(study(arms, **protocol))


def test_every_budget_is_looked_at() -> None:
    """One that doesn't fit hides none of the others."""
    with pytest.raises(StudyFileError) as caught:
        study({"g": GRID, "t": TPE, "u": TPE | {"budget": {"trials": 20_000}}}, budget={"epochs": 9})
    assert ["arms.g", "arms.t", "arms.u.budget.trials"] == [
        line.split(":")[0] for line in str(caught.value).splitlines()
    ]


def test_no_more_are_confirmed_than_were_tried() -> None:
    """The best hundred of three are three."""
    assert study({"g": GRID}, confirm={"top": 100, "seeds": 1000}).protocol.confirm


# --- the search phase


def test_first_cells() -> None:
    """Arms take turns; a grid has its points with every seed, a sampled arm open slots."""
    planned = first_cells(study({"g": GRID, "t": TPE}, repeats=2, seed=40, seeding="counted", budget={"trials": 6}))
    assert ["g", "t"] * 6 == [cell.arm for cell in planned]
    assert {"search"} == {cell.phase for cell in planned}
    assert [(0, 40, 0.1), (0, 41, 0.1), (1, 40, 0.2), (1, 41, 0.2), (2, 40, 0.3), (2, 41, 0.3)] == [
        (cell.slot, cell.seed, cell.params and cell.params["lr.peak"]) for cell in planned if cell.arm == "g"
    ]
    assert [(slot, 40, None) for slot in range(6)] == [
        (cell.slot, cell.seed, cell.params) for cell in planned if cell.arm == "t"
    ]


def test_first_cells_of_unequal_arms() -> None:
    """The longer arm goes on alone."""
    planned = first_cells(study({"one": {}, "g": GRID}))
    assert ["one", "g", "g", "g"] == [cell.arm for cell in planned]
    assert {} == planned[0].params


def test_nothing_follows_while_cells_are_open() -> None:
    """Neither further trials nor the confirm phase."""
    plan = study({"t": TPE}, budget={"epochs": 40}, confirm={"top": 1, "seeds": 2})
    cells = [done(cell) for cell in first_cells(plan)]
    for open_state in ("planned", "leased"):
        assert [] == next_cells(plan, [*cells[:-1], replace(cells[-1], state=open_state, ended=None, epochs=3)])


def test_pruned_epochs_become_new_slots() -> None:
    """Of 40 epochs, two trials pruned after 3 and 5 leave 12: one further trial, in the next slot."""
    plan = study({"t": TPE}, budget={"epochs": 40})
    cells = [done(cell) for cell in first_cells(plan)]
    cells[1] = replace(cells[1], ended="pruned", epochs=3)
    assert [] == next_cells(plan, cells), "7 epochs are too few for a trial"
    cells[2] = replace(cells[2], ended="pruned", epochs=5)
    assert [PlannedCell("t", "search", 4, SEED, None)] == next_cells(plan, cells)


def test_never_over_budget() -> None:
    """Pruned at every turn, an arm goes on until less than a trial is left, never over its budget."""
    plan = study({"t": TPE, "g": GRID}, budget={"epochs": 100}, confirm={"seeds": 1})
    cells = [done(cell) for cell in first_cells(plan) if cell.arm == "g"]
    cells += [state(cell, "planned") for cell in first_cells(plan) if cell.arm == "t"]
    for lengths in range(200):
        place = next((i for i, cell in enumerate(cells) if cell.arm == "t" and cell.state == "planned"), None)
        if place is None:
            break
        cell = cells[place]
        epochs = (1, 4, 10, 2)[lengths % 4]
        ended = "finished" if epochs == 10 else "pruned"
        planned = PlannedCell(cell.arm, cell.phase, cell.slot, cell.seed, cell.params)
        cells[place] = done(planned, epochs=epochs, ended=ended)
        cells += [state(more, "planned") for more in next_cells(plan, cells) if more.phase == "search"]
        assert spent([cell for cell in cells if cell.arm == "t"]) <= 100
    searched = [cell for cell in cells if cell.arm == "t"]
    assert 90 < spent(searched) <= 100
    assert list(range(len(searched))) == [cell.slot for cell in searched]


def test_budget_in_trials_is_not_refilled() -> None:
    """Pruned or not, a trial counts."""
    plan = study({"t": TPE}, budget={"trials": 4})
    assert [] == next_cells(plan, [done(cell, epochs=1, ended="pruned") for cell in first_cells(plan)])


def test_grid_is_not_refilled() -> None:
    """A grid has no further points, whatever is left of its budget."""
    plan = study({"g": GRID}, budget={"epochs": 300})
    assert [] == next_cells(plan, [done(cell, epochs=1, ended="pruned") for cell in first_cells(plan)])


def test_failed_cells_are_not_replaced() -> None:
    """Else what always fails would be planned without end, and what is retried would exceed the budget."""
    plan = study({"t": TPE}, budget={"epochs": 40})
    first = first_cells(plan)
    assert [] == next_cells(plan, [state(cell, "failed") for cell in first])
    assert [] == next_cells(plan, [done(first[0]), *(state(cell, "failed", epochs=2) for cell in first[1:])])


# --- the confirm phase


def confirm_study(**confirm: int) -> StudySpec:
    return study({"g": GRID, "t": TPE}, confirm=confirm, seed=7)


def searched(plan: StudySpec, **scores: Sequence[float]) -> list[Cell]:
    """Every search cell done, with the scores of each arm in the order of its slots."""
    return [done(cell, score=scores[cell.arm][cell.slot]) for cell in first_cells(plan)]


def test_confirm_cells() -> None:
    """The two best of each arm, with the same fresh seeds in both arms, seed by seed."""
    plan = confirm_study(top=2, seeds=3)
    cells = next_cells(plan, searched(plan, g=(0.5, 0.9, 0.7), t=(0.2, 0.1, 0.3)))
    seeds = [plan.protocol.seed_of("confirm", 1, index) for index in range(3)]
    ranked = {"g": [0.2, 0.3], "t": [0.03, 0.01]}
    assert [
        PlannedCell(arm, "confirm", rank, seed, {"lr.peak": pytest.approx(ranked[arm][rank])})  # type: ignore[dict-item]
        for arm in ("g", "t")
        for seed in seeds
        for rank in range(2)
    ] == cells


def test_confirm_seeds_are_fresh() -> None:
    """None was used in the search phase, even with a thousand repeats."""
    plan = study({"one": {}}, repeats=1000, confirm={"seeds": 1000})
    first = first_cells(plan)
    confirm = next_cells(plan, [done(cell) for cell in first])
    assert 2000 == len({cell.seed for cell in [*first, *confirm]})


def test_confirmed_once_and_arm_by_arm() -> None:
    """An arm is confirmed when its own search is over; what is planned is not planned again."""
    plan = confirm_study(top=1, seeds=2)
    cells = searched(plan, g=(0.5, 0.9, 0.7), t=(0.2, 0.1, 0.3))
    waiting = [
        replace(cell, state="leased", ended=None) if (cell.arm, cell.slot) == ("t", 2) else cell for cell in cells
    ]
    of_grid = next_cells(plan, waiting)
    assert ["g", "g"] == [cell.arm for cell in of_grid]
    assert [] == next_cells(plan, [*waiting, *(state(cell, "planned") for cell in of_grid)])
    of_tpe = next_cells(plan, [*cells, *(state(cell, "planned") for cell in of_grid)])
    assert ["t", "t"] == [cell.arm for cell in of_tpe]
    assert [cell.seed for cell in of_grid] == [cell.seed for cell in of_tpe]
    both = [done(cell) for cell in [*of_grid, *of_tpe]]
    assert [] == next_cells(plan, [*cells, *both])
    failed = [state(cell, "failed") for cell in [*of_grid, *of_tpe]]
    assert [] == next_cells(plan, [*cells, *failed])


def test_failed_grid_cells_do_not_hold_up_the_confirm_phase() -> None:
    """The best of the others is confirmed; of an arm that failed altogether, nothing."""
    plan = study({"g": GRID}, confirm={"seeds": 1})
    first = first_cells(plan)
    cells = [done(first[0], score=0.4), state(first[1], "failed", epochs=4), done(first[2], score=0.6)]
    assert [{"lr.peak": 0.3}] == [cell.params for cell in next_cells(plan, cells)]
    assert [] == next_cells(plan, [state(cell, "failed") for cell in first])


def test_fewer_configurations_than_top() -> None:
    """What there is is confirmed."""
    plan = confirm_study(top=9, seeds=1)
    cells = next_cells(plan, searched(plan, g=(0.5, 0.9, 0.7), t=(0.2, 0.1, 0.3)))
    assert [("g", 0), ("g", 1), ("g", 2), ("t", 0), ("t", 1), ("t", 2)] == [(cell.arm, cell.slot) for cell in cells]


def test_no_confirm_phase() -> None:
    """Without one the study ends with the search."""
    plan = study({"g": GRID})
    assert [] == next_cells(plan, [done(cell) for cell in first_cells(plan)])


def test_audit() -> None:
    """Two of three pruned trials, spread over the search, once more with the same seed and point."""
    plan = study({"t": TPE}, budget={"trials": 4}, audit=2)
    cells = [done(cell) for cell in first_cells(plan)]
    assert [] == next_cells(plan, cells), "nothing was pruned"
    cells = [replace(cell, ended="pruned") if cell.slot != 1 else cell for cell in cells]
    audit = next_cells(plan, cells)
    assert [PlannedCell("t", "audit", slot, SEED, cells[slot].params) for slot in (0, 2)] == audit
    assert [] == next_cells(plan, [*cells, *(state(cell, "planned") for cell in audit)])


# --- ranking


def test_ranking() -> None:
    """The mean over the repeats, best first, ties in the order of the plan; pruned ones don't compete."""
    first = first_cells(study({"g": GRID}, repeats=2))
    scores = [0.5, 0.7, 0.6, 0.6, 0.9, 0.9]
    cells = [done(cell, score=score) for cell, score in zip(first, scores, strict=True)]
    ranked = ranking(OBJECTIVE, cells)
    assert [({"lr.peak": 0.3}, 0.9), ({"lr.peak": 0.1}, 0.6), ({"lr.peak": 0.2}, 0.6)] == [
        (configuration.params, pytest.approx(configuration.score)) for configuration in ranked
    ]
    assert tuple(cells[4:]) == ranked[0].cells
    pruned = [replace(cell, ended="pruned") if cell.slot == 2 else cell for cell in cells]
    assert [0.1, 0.2] == [configuration.params["lr.peak"] for configuration in ranking(OBJECTIVE, pruned)]


def test_ranking_leaves_out() -> None:
    """Diverged altogether, failed, still running, or of the confirm phase: none of them competes."""
    [first, *_] = first_cells(study({"g": GRID}))
    for left_out in (
        done(first, ended="diverged", score=0.0),
        state(first, "failed"),
        state(first, "leased"),
        done(replace(first, phase="confirm")),
    ):
        assert [] == ranking(OBJECTIVE, [left_out])

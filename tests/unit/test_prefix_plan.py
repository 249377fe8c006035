"""Which cell leads and which follows, where trials begin alike: decided from the plan alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hpo.plan import first_cells
from hpo.storage.rows import Cell, PrefixCheckpoint
from hpo.study import StudySpec
from hpo.trainers.images.prefix import prefixes
from hpo.worker.prefix_plan import PrefixPlan

STAGES: dict[str, list[float]] = {
    "constant": [1.0, 1.0, 1.0, 1.0],
    "late": [1.0, 1.0, 2.0, 2.0],
    "later": [1.0, 1.0, 2.0, 4.0],
    "other": [2.0, 2.0, 2.0, 2.0],
}


def study(**changes: Any) -> StudySpec:
    """An arm for each of the stages, eight epochs long; two repeats."""
    table: dict[str, Any] = {
        "name": "s",
        "trial": {
            "epochs": 8,
            "batch_size": 10,
            "data": {"kind": "digits"},
            "model": {"kind": "mlp", "hidden": [4]},
            "optimizer": {"kind": "sgd"},
            "lr": {"kind": "constant", "peak": 0.1},
            "regularizers": {"l2": {"kind": "l2", "strength": 0.01}},
        },
        "protocol": {"repeats": 2, "share_prefixes": True, "confirm": {"top": 1, "seeds": 2}},
        "arms": {
            name: {"trial": {"regularizers": {"l2": {"policy": {"kind": "stages", "factors": factors}}}}}
            for name, factors in STAGES.items()
        },
    }
    return StudySpec.model_validate(table | changes)


def cells(spec: StudySpec, **values: Any) -> dict[tuple[str, int], Cell]:
    """The search phase as it was planned, by arm and repeat."""
    nothing = dict.fromkeys(Cell.__dataclass_fields__)
    planned = {}
    for number, cell in enumerate(first_cells(spec), start=1):
        row: Any = nothing | {"id": number, "state": "planned", "epochs": 0} | values
        row |= {name: getattr(cell, name) for name in ("arm", "phase", "slot", "seed", "params")}
        repeat = [spec.protocol.seed_of("search", 1, index) for index in range(2)].index(cell.seed)
        planned[cell.arm, repeat] = Cell(**row)
    return planned


@pytest.mark.parametrize(
    ("one", "other", "epochs"), [("constant", "late", 4), ("late", "later", 6), ("constant", "other", 0)]
)
def test_what_cells_have_in_common(one: str, other: str, epochs: int) -> None:
    """As many epochs as the schedules agree on, with the same seed only."""
    spec = study()
    prefix_plan, plan = PrefixPlan(spec, lambda trial: prefixes(trial, 100)), cells(spec)
    assert epochs == prefix_plan.common(plan[one, 1], plan[other, 1])
    assert 0 == prefix_plan.common(plan[one, 0], plan[other, 1])


def test_followers_wait_for_the_longest_common_way() -> None:
    """The first cell leads; the others wait for it, or for one with which they have more in common."""
    spec = study()
    prefix_plan, plan = PrefixPlan(spec, lambda trial: prefixes(trial, 100)), cells(spec)
    everyone = list(plan.values())
    first, late, later = (plan[arm, 0] for arm in ("constant", "late", "later"))
    assert (None, None) == prefix_plan.begin(first, everyone, ())
    assert (None, None) == prefix_plan.begin(plan["other", 0], everyone, ())
    assert (None, PrefixCheckpoint(first.id, 4)) == prefix_plan.begin(late, everyone, ())
    assert (None, PrefixCheckpoint(late.id, 6)) == prefix_plan.begin(later, everyone, ())
    assert {4} == prefix_plan.kept_for_others(first, everyone)
    assert {6} == prefix_plan.kept_for_others(late, everyone)
    assert set() == prefix_plan.kept_for_others(later, everyone)


def test_going_on_from_what_is_kept() -> None:
    """From the latest place in common; beyond it nothing is waited for, unless someone else is on the way there."""
    spec = study()
    prefix_plan, plan = PrefixPlan(spec, lambda trial: prefixes(trial, 100)), cells(spec)
    first, late, later = (plan[arm, 0] for arm in ("constant", "late", "later"))
    kept = [
        PrefixCheckpoint(first.id, 4),
        PrefixCheckpoint(first.id, 6),
        PrefixCheckpoint(plan["constant", 1].id, 4),
        PrefixCheckpoint(99, 8),
    ]
    gone = [replace(first, state="done", epochs=8), replace(late, state="leased", epochs=5), later]
    assert (PrefixCheckpoint(first.id, 4), None) == prefix_plan.begin(late, gone, kept)
    assert (None, PrefixCheckpoint(late.id, 6)) == prefix_plan.begin(later, gone, kept)
    failed = [gone[0], replace(late, state="failed", epochs=5), later]
    assert (PrefixCheckpoint(first.id, 4), None) == prefix_plan.begin(later, failed, kept)
    assert (None, None) == prefix_plan.begin(later, failed, ())


def test_what_may_be_pruned_or_is_proposed_takes_no_part() -> None:
    """It is not known beforehand that it will train all of it, or what."""
    spec = study(arms=study().model_dump()["arms"] | {"late": {"pruner": {"kind": "median"}}, "later": {}})
    prefix_plan, plan = PrefixPlan(spec, lambda trial: prefixes(trial, 100)), cells(spec)
    first, pruned, same = (plan[arm, 0] for arm in ("constant", "late", "later"))
    assert 8 == prefix_plan.common(first, same)
    assert 0 == prefix_plan.common(first, pruned)
    assert 8 == prefix_plan.common(replace(first, phase="confirm"), replace(pruned, phase="confirm"))
    assert 0 == prefix_plan.common(first, replace(same, params=None))


def test_kept_for_arms_that_are_still_to_be_confirmed() -> None:
    """Their confirm phase is planned later, and what it trains is known where nothing is searched."""
    spec = study()
    alone = replace(cells(spec)["late", 0], phase="confirm", seed=1000)
    assert {4, 6} == PrefixPlan(spec, lambda trial: prefixes(trial, 100)).kept_for_others(alone, [alone])

"""Failed trials may be tried again at any time: what is planned in the end follows from the results alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache

from hypothesis import given, settings
from hypothesis import strategies as st

from hpo.evidence.measured import judged_by
from hpo.plan import changes, first_cells
from hpo.storage.rows import Cell, PlanChanges, PlannedCell
from hpo.storage.states import CONFIRM, SEARCH, WITHDRAWN
from hpo.study import StudySpec
from tests.unit.report_samples import cell
from tests.unit.test_plan import GRID, TPE, study


@dataclass
class World:
    """A ledger in memory, with what every trial gives: scores and failures by arm, phase and slot."""

    plan: StudySpec
    scores: list[int]
    failing: list[int]
    """How often a trial raises before it ends."""
    cells: list[Cell] = field(default_factory=list)
    raised: dict[int, int] = field(default_factory=dict)

    def begin(self) -> World:
        self._add(first_cells(self.plan))
        return self

    def plan_more(self) -> PlanChanges:
        """What `advance` does in a storage."""
        found = changes(self.plan, self.cells)
        unneeded = {one.id for one in found.unneeded if one.state != "leased"}
        restored = {one.id for one in found.restored}
        self._set(lambda one: WITHDRAWN if one.id in unneeded else one.state)
        self._set(lambda one: ("done" if one.ended else "planned") if one.id in restored else one.state)
        self._add(list(found.added))
        return found

    def retry(self) -> None:
        self._set(lambda one: "planned" if one.state == "failed" else one.state)

    def claim(self, which: int) -> None:
        self._one_of("planned", which, lambda one: replace(one, state="leased"))

    def end(self, which: int) -> None:
        self._one_of("leased", which, self._trained)

    def finish(self) -> None:
        """Everything is planned, tried again and trained, until nothing follows."""
        while self.plan_more() != PlanChanges() or any(
            one.state in ("planned", "leased", "failed") for one in self.cells
        ):
            self.retry()
            for state in ("planned", "leased"):
                for one in [one for one in self.cells if one.state == state]:
                    self._replace(self._trained(one))

    def result(self) -> set[tuple[str, str, str, int, float | None]]:
        """What is part of the result after the search."""
        later = [one for one in self.cells if one.phase != SEARCH and one.state != WITHDRAWN]
        return {(one.arm, one.phase, repr(one.params), one.seed, one.score) for one in later}

    def _trained(self, one: Cell) -> Cell:
        if self.raised.get(one.id, 0) < self.failing[one.slot % len(self.failing)]:
            self.raised[one.id] = self.raised.get(one.id, 0) + 1
            return replace(one, state="failed")
        params = one.params if one.params is not None else {"lr.peak": 0.01 * (one.slot + 1)}
        place = round(100 * params["lr.peak"]) + 5 * (one.arm == "t") + one.seed
        given = self.scores[place % len(self.scores)]
        pruned = one.phase == SEARCH and one.arm == "t" and given < 2
        return replace(
            one,
            state="done",
            ended="pruned" if pruned else "finished",
            epochs=3 if pruned else 10,
            params=params,
            score=given / 10,
            metrics={"validation_accuracy": given / 10}
            | ({"test_accuracy": given / 10} if one.phase == CONFIRM else {}),
        )

    def _one_of(self, state: str, which: int, change: Callable[[Cell], Cell]) -> None:
        found = [one for one in self.cells if one.state == state]
        if found:
            self._replace(change(found[which % len(found)]))

    def _replace(self, changed: Cell) -> None:
        self.cells = [changed if one.id == changed.id else one for one in self.cells]

    def _set(self, state: Callable[[Cell], str]) -> None:
        self.cells = [replace(one, state=state(one)) for one in self.cells]

    def _add(self, planned: list[PlannedCell]) -> None:
        for one in planned:
            fields = {"seed": one.seed, "params": one.params, "state": "planned", "epochs": 0}
            self.cells.append(cell(one.arm, one.phase, one.slot, **fields))


@cache
def any_study(top: int) -> StudySpec:
    return study({"g": GRID, "t": TPE}, budget={"epochs": 60}, confirm={"top": top, "seeds": 2}, audit=1)


ORDERS = st.lists(st.tuples(st.sampled_from(["claim", "end", "retry", "plan"]), st.integers(0, 20)), max_size=60)


@settings(max_examples=150, deadline=None)
@given(
    top=st.integers(1, 3),
    scores=st.lists(st.integers(0, 9), min_size=4, max_size=12),
    failing=st.lists(st.integers(0, 2), min_size=1, max_size=5),
    order=ORDERS,
)
def test_the_order_of_repair_changes_nothing(
    top: int, scores: list[int], failing: list[int], order: list[tuple[str, int]]
) -> None:
    """Claimed, failed, tried again and planned in any order: the same cells after the search, the same choice."""
    worlds = [World(any_study(top), scores, failing).begin() for _ in range(2)]
    disturbed, straight = worlds
    for act, which in order:
        match act:
            case "claim":
                disturbed.claim(which)
            case "end":
                disturbed.end(which)
            case "retry":
                disturbed.retry()
            case "plan":
                disturbed.plan_more()
    disturbed.finish()
    straight.finish()
    assert straight.result() == disturbed.result()
    for arm in ("g", "t"):
        judged = [judged_by(world.plan, [one for one in world.cells if one.arm == arm]) for world in worlds]
        assert [repr(one.params) for one in judged[0]] == [repr(one.params) for one in judged[1]]

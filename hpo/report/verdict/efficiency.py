"""What an arm's search got for its epochs: how soon it was as good as the baseline, and what pruning saved and cost.

Trials count in the order in which they ended, each with all the epochs and seconds that it trained; a configuration
is known once its last repeat has ended. Everything here is the objective, on validation, in the search phase.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hpo.evidence.ranking import ranking
from hpo.evidence.statistics import proportion
from hpo.metric import Metric
from hpo.storage.rows import Cell
from hpo.storage.states import AUDIT, SEARCH
from hpo.study import StudySpec


@dataclass(frozen=True, slots=True)
class Step:
    """A step of the search: from here on the best configuration known reached so much."""

    epochs: int
    """Trained by the arm's search until then."""
    seconds: float
    """Seconds of training, summed over workers."""
    score: float


@dataclass(frozen=True, slots=True)
class Audit:
    """Pruned trials that were run to their end: how many of them would have won."""

    n: int
    won: int
    """Those whose final score is better than that of the arm's best finished trial."""
    low: float
    """The 95 % interval of the share that wins (Clopper and Pearson 1934), as `high`."""
    high: float


@dataclass(frozen=True, slots=True)
class Efficiency:
    """What an arm's search got for its epochs."""

    best_so_far: tuple[Step, ...]
    reached: Step | None
    """When it had as good a configuration as the baseline's best; None if it never had."""
    area: float | None
    """The area under the best-so-far curve, by its width: the mean score in hand while the search went on."""
    saved: int
    """Epochs that pruned trials did not train."""
    audit: Audit | None
    """None where no pruned trial was run to its end."""


def efficiencies(study: StudySpec, cells: Sequence[Cell]) -> dict[str, Efficiency]:
    """The efficiency of every arm's first search. Areas are over the epochs that every one has spent that has spent
    any."""
    by_arm = {arm: [cell for cell in cells if cell.arm == arm and cell.search == 1] for arm in study.arms}
    searches = {arm: ended(own, SEARCH) for arm, own in by_arm.items()}
    metric = study.objective
    curves = {arm: best_so_far(metric, search) for arm, search in searches.items()}
    width = min((spent for search in searches.values() if (spent := sum(cell.epochs for cell in search))), default=0)
    # Where nothing is known yet, the metric's worst value counts; without one, begin where every arm knows something.
    start = 0 if metric.worst is not None else max((curve[0].epochs for curve in curves.values() if curve), default=0)
    goals = {arm: curves[study.baseline_of(arm)] for arm in study.arms}
    return {
        arm: Efficiency(
            best_so_far=curve,
            reached=_reached(metric, curve, goals[arm][-1].score) if goals[arm] else None,
            area=_area(metric, curve, start, width) if searches[arm] else None,
            saved=sum(study.arm(arm).length - cell.epochs for cell in searches[arm] if cell.ended == "pruned"),
            audit=_audits(study, [cell for cell in cells if cell.arm == arm]),
        )
        for arm, curve in curves.items()
    }


def best_so_far(metric: Metric, search: Sequence[Cell]) -> tuple[Step, ...]:
    """Each time a configuration was better than all before; `search` in the order in which its cells ended."""
    places = {cell.id: place for place, cell in enumerate(search)}
    known = {max(places[cell.id] for cell in one.cells): one.score for one in ranking(metric, search)}
    steps: list[Step] = []
    epochs, seconds = 0, 0.0
    for place, cell in enumerate(search):
        epochs, seconds = epochs + cell.epochs, seconds + cell.seconds
        score = known.get(place)
        if score is not None and (not steps or metric.is_better(score, steps[-1].score)):
            steps.append(Step(epochs, seconds, score))
    return tuple(steps)


def ended(cells: Sequence[Cell], phase: str) -> list[Cell]:
    """The cells of a phase that are done or failed, in the order in which they ended."""
    over = [cell for cell in cells if cell.phase == phase and cell.state in ("done", "failed")]
    return sorted(over, key=lambda cell: (cell.finished or 0.0, cell.id))


def _reached(metric: Metric, curve: Sequence[Step], goal: float) -> Step | None:
    return next((step for step in curve if not metric.is_better(goal, step.score)), None)


def _area(metric: Metric, curve: Sequence[Step], start: int, width: int) -> float | None:
    """The mean of the best so far from `start` to `width` epochs; None if there is no such stretch."""
    if width <= start or (metric.worst is None and not curve):
        return None
    ends = [step.epochs for step in curve[1:]] + [width]
    known = zip(curve, ends, strict=False)
    area = sum(step.score * max(0, min(end, width) - max(step.epochs, start)) for step, end in known)
    unknown = max(0, (min(curve[0].epochs, width) if curve else width) - start)
    return (area + (metric.worst or 0.0) * unknown) / (width - start)


def _audits(study: StudySpec, cells: Sequence[Cell]) -> Audit | None:
    """The audit of all searches of an arm, each of which has a best of its own."""
    n, won = 0, 0
    for search in study.protocol.all_searches:
        own = [cell for cell in cells if cell.search == search]
        finals = [cell.score for cell in ended(own, AUDIT) if cell.state == "done"]
        curve = best_so_far(study.objective, ended(own, SEARCH)) if finals else ()
        n, won = n + len(finals), won + sum(_wins(study.objective, final, curve) for final in finals)
    return Audit(n, won, *proportion(won, n)) if n else None


def _wins(metric: Metric, final: float | None, curve: Sequence[Step]) -> bool:
    best = curve[-1].score if curve else metric.worst
    return final is not None and (best is None or metric.is_better(final, best))

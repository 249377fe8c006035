"""The verdict: what each arm reached and spent, and whether the claims hold. A function of the study and its cells.

Whatever is chosen is chosen on validation: an arm's best configuration in the search phase, and of those confirmed the
one that represents the arm. Test accuracies are compared afterwards, seed by seed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from statistics import fmean
from typing import get_args

from hpo.report.claims import judge
from hpo.report.numbers import is_accuracy
from hpo.report.results import ArmResult, PhaseResult, Report
from hpo.report.rules import compute, failures, rules, unfinished
from hpo.report.statistics import Summary, paired, summarize
from hpo.storage.rows import Cell
from hpo.study import Metric, StudySpec


def compare(study: StudySpec, cells: Sequence[Cell]) -> Report:
    """The verdict on `study` as far as its cells have come."""
    metric: Metric = "test_accuracy" if study.protocol.confirm else "validation_accuracy"
    by_arm = {name: [cell for cell in cells if cell.arm == name] for name in study.arms}
    values = {name: _values(_judged_by(study, by_arm[name])) for name in study.arms}
    arms = tuple(_arm(study, name, by_arm[name], values, metric) for name in study.arms)
    spent = [arm.search.epochs for arm in arms]
    ratio = max(spent) / min(spent) if min(spent) else None
    incomplete = {arm.name: line for arm in arms if (line := unfinished(study, arm))}
    return Report(
        name=study.name,
        title=study.title,
        baseline=study.baseline,
        metric=metric,
        rules=tuple(rules(study)),
        arms=arms,
        claims=tuple(judge(claim, values, incomplete) for claim in study.claims),
        search_ratio=ratio,
        compute=compute(spent, ratio),
        unfinished=tuple(incomplete.values()),
        failures=tuple(line for arm in arms for line in failures(arm)),
    )


def _arm(
    study: StudySpec,
    name: str,
    cells: Sequence[Cell],
    values: Mapping[str, Mapping[Metric, Mapping[int, float]]],
    metric: Metric,
) -> ArmResult:
    own = values[name]
    search = [cell for cell in cells if cell.phase == "search"]
    best = _best(search)
    chosen = _judged_by(study, cells) or best
    return ArmResult(
        name=name,
        search=_count(search),
        confirm=_count([cell for cell in cells if cell.phase == "confirm"]),
        tried=len({cell.slot for cell in search if cell.state == "done"}),
        configuration=study.values(name, chosen[0].params or {}) if chosen else None,
        search_best=_score(best) if best else None,
        values=own,
        validation=_summary(own, "validation_accuracy"),
        test=_summary(own, "test_accuracy"),
        test_loss=_summary(own, "test_loss"),
        difference=None if name == study.baseline else paired(own[metric], values[study.baseline][metric]),
    )


def _judged_by(study: StudySpec, cells: Sequence[Cell]) -> list[Cell]:
    """The cells that an arm is judged by: those of one configuration, chosen on validation; none at first."""
    if study.protocol.confirm is None:
        return _best([cell for cell in cells if cell.phase == "search"])
    return max(_slots([cell for cell in cells if cell.phase == "confirm"]), key=_score, default=[])


def _best(search: Sequence[Cell]) -> list[Cell]:
    """The done cells of the best configuration of a search phase; the earlier one of two that are equal."""
    return max((slot for slot in _slots(search) if _competes(slot)), key=_score, default=[])


def _slots(cells: Sequence[Cell]) -> list[list[Cell]]:
    """The done cells of each configuration."""
    done = sorted((cell for cell in cells if cell.state == "done"), key=lambda cell: (cell.slot, cell.seed))
    return [list(slot) for _, slot in groupby(done, key=lambda cell: cell.slot)]


def _competes(slot: Sequence[Cell]) -> bool:
    ends = [cell.ended for cell in slot]
    return "finished" in ends and "pruned" not in ends


def _score(slot: Sequence[Cell]) -> float:
    return fmean(cell.score or 0.0 for cell in slot)


def _values(slot: Sequence[Cell]) -> dict[Metric, dict[int, float]]:
    """Metric -> seed -> value. A diverged trial has accuracy 0 and no loss; only the confirm phase has test values."""
    values: dict[Metric, dict[int, float]] = {metric: {} for metric in get_args(Metric)}
    for cell in slot:
        for metric, by_seed in values.items():
            value: float | None = getattr(cell, metric)
            if cell.ended == "diverged":
                scored = cell.phase == "confirm" or metric == "validation_accuracy"
                value = 0.0 if scored and is_accuracy(metric) else None
            if value is not None:
                by_seed[cell.seed] = value
    return values


def _summary(values: Mapping[Metric, Mapping[int, float]], metric: Metric) -> Summary | None:
    by_seed = values[metric]
    return summarize(list(by_seed.values()), lower_is_better=not is_accuracy(metric)) if by_seed else None


def _count(cells: Sequence[Cell]) -> PhaseResult:
    ends = [cell.ended if cell.state == "done" else cell.state for cell in cells]
    return PhaseResult(
        epochs=sum(cell.epochs for cell in cells),
        finished=ends.count("finished"),
        pruned=ends.count("pruned"),
        diverged=ends.count("diverged"),
        failed=ends.count("failed"),
        open=ends.count("planned") + ends.count("leased"),
    )

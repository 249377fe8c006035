"""The verdict: what each arm reached and spent, and whether the claims hold; a function of the study's cells.

Whatever is chosen is chosen on validation: an arm's best configuration in the search phase, and of those
confirmed the one that represents the arm. Test accuracies are compared afterwards, seed by seed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import groupby
from statistics import fmean
from typing import get_args

from hpo.plan import CONFIRM, SEARCH, next_cells, ranking
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
    coming = Counter((cell.arm, cell.phase) for cell in next_cells(study, cells))
    arms = tuple(_arm(study, name, by_arm[name], coming, values, metric) for name in study.arms)
    spent = [arm.search.epochs for arm in arms]
    ratio = max(spent) / min(spent) if min(spent) else None
    incomplete = {arm.name: line for arm in arms if (line := unfinished(arm))}
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
    coming: Mapping[tuple[str, str], int],
    values: Mapping[str, Mapping[Metric, Mapping[int, float]]],
    metric: Metric,
) -> ArmResult:
    own = values[name]
    search = [cell for cell in cells if cell.phase == SEARCH]
    confirm = [cell for cell in cells if cell.phase == CONFIRM]
    ranked = ranking(search)
    chosen = _judged_by(study, cells) or (ranked[0].cells if ranked else ())
    return ArmResult(
        name=name,
        search=_count(search, coming.get((name, SEARCH), 0)),
        confirm=_count(confirm, coming.get((name, CONFIRM), 0)),
        tried=len({cell.slot for cell in search if cell.state == "done"}),
        configuration=study.values(name, chosen[0].params or {}) if chosen else None,
        search_best=ranked[0].score if ranked else None,
        values=own,
        validation=_summary(own, "validation_accuracy"),
        test=_summary(own, "test_accuracy"),
        test_loss=_summary(own, "test_loss"),
        difference=None if name == study.baseline else paired(own[metric], values[study.baseline][metric]),
    )


def _judged_by(study: StudySpec, cells: Sequence[Cell]) -> Sequence[Cell]:
    """The done cells that an arm is judged by: one configuration's, chosen on validation; none at first."""
    if study.protocol.confirm is None:
        return next((configuration.cells for configuration in ranking(cells)), ())
    done = [cell for cell in cells if cell.phase == CONFIRM and cell.state == "done"]
    ranks = groupby(sorted(done, key=lambda cell: (cell.slot, cell.seed)), key=lambda cell: cell.slot)
    return max((list(same) for _, same in ranks), key=_score, default=[])


def _score(cells: Sequence[Cell]) -> float:
    return fmean(cell.score or 0.0 for cell in cells)


def _values(slot: Sequence[Cell]) -> dict[Metric, dict[int, float]]:
    """Metric -> seed -> value. A diverged trial has accuracy 0 and no loss; test is for the confirm phase."""
    values: dict[Metric, dict[int, float]] = {metric: {} for metric in get_args(Metric)}
    for cell in slot:
        for metric, by_seed in values.items():
            value: float | None = getattr(cell, metric)
            if cell.ended == "diverged":
                scored = cell.phase == CONFIRM or metric == "validation_accuracy"
                value = 0.0 if scored and is_accuracy(metric) else None
            if value is not None:
                by_seed[cell.seed] = value
    return values


def _summary(values: Mapping[Metric, Mapping[int, float]], metric: Metric) -> Summary | None:
    by_seed = values[metric]
    return summarize(list(by_seed.values()), lower_is_better=not is_accuracy(metric)) if by_seed else None


def _count(cells: Sequence[Cell], coming: int) -> PhaseResult:
    ends = [cell.ended if cell.state == "done" else cell.state for cell in cells]
    return PhaseResult(
        epochs=sum(cell.epochs for cell in cells),
        finished=ends.count("finished"),
        pruned=ends.count("pruned"),
        diverged=ends.count("diverged"),
        failed=ends.count("failed"),
        open=ends.count("planned") + ends.count("leased") + coming,
    )

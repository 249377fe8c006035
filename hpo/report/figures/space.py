"""Figures over the search space: every searched path against the score, and the gain over the baseline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean

from hpo.evidence.ranking import ranking
from hpo.evidence.statistics import Paired, paired
from hpo.metric import Metric
from hpo.report.figures.scale import Scale
from hpo.report.figures.spending import labelled
from hpo.report.figures.trials import called, styled
from hpo.report.figures.values import Axis, Figure, Panel, Series, beside, shortened, toward_best
from hpo.search.space import Label, Range, Values
from hpo.storage.rows import Cell
from hpo.storage.states import SEARCH
from hpo.study import StudySpec

WIDEST_LABEL = 40


def slices(study: StudySpec, cells: Sequence[Cell]) -> Figure | None:
    """The objective, in the search phase, against each searched path."""
    metric = study.objective
    panels: list[Panel] = []
    series: list[Series] = []
    for path, searched in _searched(study).items():
        scale = Scale(list(searched.values()))
        own = [one for arm in searched for one in _points(study, cells, arm, path, scale, len(panels))]
        if own:
            y = Axis(labelled(metric), limits=toward_best(metric, [y for one in own for y in one.y]))
            panels.append(Panel("", scale.axis(shortened(path, WIDEST_LABEL)), y))
            series += own
    if not panels:
        return None
    return Figure(
        id="search-space",
        title="The search space, path by path",
        caption=f"Last {metric.words} of every search trial against each value that was searched, open where the "
        f"trial was pruned; what diverged or is far {metric.beyond} the others is outside. The other values differ "
        "from point to point.",
        arms=tuple(study.arms),
        panels=tuple(panels),
        series=tuple(series),
    )


def gains(study: StudySpec, cells: Sequence[Cell], baseline: str) -> Figure | None:
    """The arms' best minus the baseline's best at each value of a path that both search as a list."""
    panels: list[Panel] = []
    series: list[Series] = []
    metric = study.objective
    for path, searched in _searched(study).items():
        lists = {arm: one for arm, one in searched.items() if isinstance(one, Values)}
        others = [arm for arm in lists if arm != study.baseline_of(arm) and study.baseline_of(arm) in lists]
        if not others:
            continue
        scale = Scale(list(lists.values()))
        gained = {arm: _gains(metric, cells, arm, study.baseline_of(arm), path) for arm in others}
        own = [
            _gain(metric, arm, gain, scale, beside(place, len(others)), len(panels))
            for place, (arm, gain) in enumerate(gained.items())
            if len(gain) > 1
        ]
        if own:
            points = Axis(f"points of {metric.words}" if metric.share else labelled(metric), zero=True)
            panels.append(Panel("", scale.axis(shortened(path, WIDEST_LABEL)), points))
            series += own
    if not panels:
        return None
    return Figure(
        id="gain-by-value",
        title=f"Gain over {baseline}",
        caption=f"Best configuration of an arm minus that of {baseline} at each value that both searched, by "
        f"{metric.words} in the search phase, which is optimistic for both; with a 95 % t interval where "
        "configurations were repeated with the same seeds.",
        arms=tuple(study.arms),
        panels=tuple(panels),
        series=tuple(series),
    )


def _searched(study: StudySpec) -> dict[str, dict[str, Range | Values]]:
    """Path -> arm -> what the arm searches there, in the order of the study file."""
    known = {arm: spec.parameters for arm, spec in study.arms.items()}
    names = dict.fromkeys(name for parameters in known.values() for name in parameters)
    return {
        name: {arm: parameters[name].searched for arm, parameters in known.items() if name in parameters}
        for name in names
    }


def _points(study: StudySpec, cells: Sequence[Cell], arm: str, path: str, scale: Scale, panel: int) -> Iterator[Series]:
    aside = beside(list(study.arms).index(arm), len(study.arms))
    own = [cell for cell in cells if cell.arm == arm and cell.phase == SEARCH and path in (cell.params or {})]
    for style, shown in styled(study.objective, own):
        yield Series(
            arm,
            panel,
            style,
            tuple(scale.place((cell.params or {})[path], aside) for cell, _ in shown),
            tuple(study.objective.factor * value for _, value in shown),
            names=tuple(called(study.objective, cell) for cell, _ in shown),
        )


def _gains(metric: Metric, cells: Sequence[Cell], arm: str, baseline: str, path: str) -> dict[Label, Paired]:
    ours, theirs = (_best_at(metric, cells, name, path) for name in (arm, baseline))
    return {label: _difference(ours[label], theirs[label]) for label in ours if label in theirs}


def _difference(ours: Mapping[int, float], theirs: Mapping[int, float]) -> Paired:
    """Values by seed where seeds are shared, else of the means."""
    return paired(ours, theirs) or Paired(1, fmean(ours.values()) - fmean(theirs.values()), None, None, None)


def _best_at(metric: Metric, cells: Sequence[Cell], arm: str, path: str) -> dict[Label, dict[int, float]]:
    """Value of the path -> seed -> score of the best configuration that has it."""
    best: dict[Label, dict[int, float]] = {}
    for configuration in ranking(metric, [cell for cell in cells if cell.arm == arm]):
        # What is searched under a choice is not in every one; and one that has no score is no best.
        if path in configuration.params and configuration.score is not None:
            scores = {cell.seed: cell.score for cell in configuration.cells if cell.score is not None}
            best.setdefault(configuration.params[path], scores)
    return best


def _gain(metric: Metric, arm: str, gain: Mapping[Label, Paired], scale: Scale, aside: float, panel: int) -> Series:
    placed = sorted((scale.place(label, aside), one) for label, one in gain.items())
    spread = all(one.low is not None for _, one in placed)
    return Series(
        arm,
        panel,
        "points",
        x=tuple(x for x, _ in placed),
        y=tuple(metric.factor * one.difference for _, one in placed),
        low=tuple(metric.factor * (one.low or 0.0) for _, one in placed) if spread else (),
        high=tuple(metric.factor * (one.high or 0.0) for _, one in placed) if spread else (),
    )

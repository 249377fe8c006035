"""Figures over the epochs of a trial: learning curves, what moved, gradient norms."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from hpo.metric import Metric
from hpo.report.figures.runs import (
    Run,
    Runs,
    Value,
    all_positive,
    padded,
    ratio,
    representatives,
    runs_of,
    settled,
    several,
    spans,
    spread,
    threads,
    values_of,
    whose,
)
from hpo.report.figures.values import Axis, Figure, Panel, Series, shortened
from hpo.storage.rows import Cell, CurvePoint, value_of
from hpo.study import StudySpec

LOG_FROM = 10.0
"""Strengths and norms of which the largest is so many times the smallest are shown on a logarithmic axis."""
LOSSES_LOG_FROM = 4.0
"""Metrics of learning curves have to span more for it, past the beginning: a short logarithmic axis has no ticks."""
LEARNING_RATE = "Learning rate"
STRENGTH, NORM = "strength.", "gradient_norm."
"""The names begin so under which strengths and gradient norms are reported."""

Draw = Callable[[str, int, Sequence[Run], Value], Sequence[Series]]
"""Draws what an arm's trials had of a value, in a panel."""


def learning_curves(study: StudySpec, cells: Sequence[Cell], curves: Sequence[CurvePoint]) -> Figure | None:
    """Every metric of validation, of test where it was scored along the way, and of train; the objective first."""
    shown = several(study, cells)
    runs = runs_of(shown, curves)
    if not runs:
        return None
    drawn: dict[Metric, list[Series]] = {}
    for metric in _during_training(study):
        own = [spread(arm, len(drawn), found, _measured(metric)) for arm, found in runs.items()]
        if metric.split != "test" or any(one.x for one in own):  # test is scored in the end alone, as is usual
            drawn[metric] = own
    panels = []
    for metric in drawn:
        alike = [one for other, own in drawn.items() if other.base == metric.base for one in own]
        log = not metric.share and spans(alike, LOSSES_LOG_FROM)
        y = Axis(metric.axis, log=log, limits=settled(alike, log=log))
        panels.append(Panel(metric.words.capitalize(), Axis(study.unit, whole=True), y))
    are_several = study.protocol.searches > 1
    of = "; ".join(f"{arm}: {whose(shown[arm], which_search=are_several)}" for arm in runs)
    train = f" {study.trainer.train_values}" if study.trainer.train_values else ""
    return Figure(
        id="learning-curves",
        title="Learning curves",
        caption=f"Mean (line) and lowest to highest (band) of the trials shown. {of}.{train} A metric has the same "
        "axis on every split, and the beginning may lie outside of it.",
        arms=tuple(study.arms),
        panels=tuple(panels),
        series=tuple(one for own in drawn.values() for one in own),
    )


def what_moved(study: StudySpec, cells: Sequence[Cell], curves: Sequence[CurvePoint]) -> Figure | None:
    """The learning rate and every regularizer's strength, as they were in every trial."""
    runs = runs_of(representatives(study, cells), curves)
    values: dict[str, Value] = {LEARNING_RATE: _traced("lr")}
    values |= {f"Strength of {name}": _traced(f"{STRENGTH}{name}") for name in _names(runs, STRENGTH)}
    return _traces(
        study,
        runs,
        values,
        id="what-moved",
        title="What moved during training",
        caption=f"At the end of each {study.unit}, as recorded while training: a line for each trial of the "
        "configuration that represents an arm, which lie on each other where nothing depends on the seed.",
        draw=threads,
    )


def gradient_norms(study: StudySpec, cells: Sequence[Cell], curves: Sequence[CurvePoint]) -> Figure | None:
    """The gradient norms that the study records, if it does."""
    runs = runs_of(representatives(study, cells), curves)
    names = _names(runs, NORM)
    return _traces(
        study,
        runs,
        {shortened(name, 40): _traced(f"{NORM}{name}") for name in names},
        id="gradient-norms",
        title="Gradient norms",
        caption=f"2-norm of the gradient of the last minibatch of each {study.unit}: mean (line) and lowest to "
        "highest (band) of the trials of the configuration that represents an arm.",
        draw=lambda arm, panel, found, value: [spread(arm, panel, found, value)],
    )


def _traces(
    study: StudySpec, runs: Runs, values: Mapping[str, Value], *, id: str, title: str, caption: str, draw: Draw
) -> Figure | None:
    """One panel for each of `values`."""
    panels: list[Panel] = []
    series: list[Series] = []
    for label, value in values.items():
        own = [one for arm, found in runs.items() for one in draw(arm, len(panels), found, value) if one.x]
        if own:
            log = label != LEARNING_RATE and all_positive(own) and ratio(own) >= LOG_FROM
            y = Axis(log=log, limits=padded(values_of(own), log=log))
            panels.append(Panel(label, Axis(study.unit, whole=True), y))
            series += own
    return Figure(id, title, caption, tuple(study.arms), tuple(panels), tuple(series)) if panels else None


def _names(runs: Runs, prefix: str) -> list[str]:
    """All names of what was traced so, in the order in which the arms bring them."""
    return list(
        dict.fromkeys(name for found in runs.values() for _, points in found for name in points[0].traced(prefix))
    )


def _during_training(study: StudySpec) -> list[Metric]:
    """What may be measured after every epoch, in the order in which it is shown."""
    splits = ("validation", "test", "train")
    shown = [metric for split in splits for metric in study.metrics.values() if metric.split == split]
    return sorted(shown, key=lambda metric: metric != study.objective)


def _measured(metric: Metric) -> Value:
    def value(point: CurvePoint) -> float | None:
        measured = value_of(metric, point)
        return None if measured is None else metric.factor * measured

    return value


def _traced(name: str) -> Value:
    return lambda point: point.metrics.get(name)

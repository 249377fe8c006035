"""Figures over the epochs of a trial: learning curves, what moved, gradient norms."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import fmean

from hpo.evidence.measured import representative
from hpo.evidence.ranking import ranking
from hpo.metric import Metric
from hpo.report.figures.values import Axis, Figure, Panel, Series, shortened
from hpo.storage.rows import Cell, CurvePoint, value_of
from hpo.storage.states import CONFIRM, SEARCH
from hpo.study import StudySpec
from hpo.words.nouns import a, count

BEST = 5
"""So many of an arm's best search trials are shown where it has no confirmed ones."""
WARM_UP = 0.2
"""An accuracy axis need not show what is below every accuracy after this share of the epochs."""
LOG_FROM = 10.0
"""Strengths and norms of which the largest is so many times the smallest are shown on a logarithmic axis."""
LEARNING_RATE = "Learning rate"
STRENGTH, NORM = "strength.", "gradient_norm."
"""The names begin so under which strengths and gradient norms are reported."""

Runs = Mapping[str, Sequence[Sequence[CurvePoint]]]
"""Arm -> the epochs of each of its trials that are shown."""
Value = Callable[[CurvePoint], float | None]


def learning_curves(study: StudySpec, cells: Sequence[Cell], curves: Sequence[CurvePoint]) -> Figure | None:
    """Every metric of validation, of test where it was scored along the way, and of train; the objective first."""
    shown = _several(study, cells)
    runs = _runs(shown, curves)
    if not runs:
        return None
    panels: list[Panel] = []
    series: list[Series] = []
    for metric in _during_training(study):
        own = [_spread(arm, len(panels), points, _measured(metric)) for arm, points in runs.items()]
        if metric.split == "test" and not any(one.x for one in own):
            continue  # it is scored in the end alone, as is usual
        y = Axis(metric.axis, limits=_risen(own)) if metric.share else Axis(metric.axis, log=_all_positive(own))
        panels.append(Panel(metric.words.capitalize(), Axis(study.unit, whole=True), y))
        series += own
    of = "; ".join(f"{arm}: {_whose(shown[arm])}" for arm in runs)
    return Figure(
        id="learning-curves",
        title="Learning curves",
        caption=f"Mean (line) and lowest to highest (band) of the trials shown. {of}. Train values are running "
        f"means over {a(study.unit)}, regularization as it was; the beginning may lie outside of an accuracy "
        "axis.",
        arms=tuple(study.arms),
        panels=tuple(panels),
        series=tuple(series),
    )


def what_moved(study: StudySpec, cells: Sequence[Cell], curves: Sequence[CurvePoint]) -> Figure | None:
    """The learning rate and every regularizer's strength, as they were in training."""
    runs = _runs(_representatives(study, cells), curves)
    values: dict[str, Value] = {LEARNING_RATE: _traced("lr")}
    values |= {f"Strength of {name}": _traced(f"{STRENGTH}{name}") for name in _names(runs, STRENGTH)}
    return _traces(
        study,
        runs,
        values,
        id="what-moved",
        title="What moved during training",
        caption=f"At the end of each {study.unit}, as recorded while training: mean (line) and lowest to "
        "highest (band) of the trials of the configuration that represents an arm.",
    )


def gradient_norms(study: StudySpec, cells: Sequence[Cell], curves: Sequence[CurvePoint]) -> Figure | None:
    """The gradient norms that the study records, if it does."""
    runs = _runs(_representatives(study, cells), curves)
    names = _names(runs, NORM)
    return _traces(
        study,
        runs,
        {shortened(name, 40): _traced(f"{NORM}{name}") for name in names},
        id="gradient-norms",
        title="Gradient norms",
        caption=f"2-norm of the gradient of the last minibatch of each {study.unit}: mean (line) and lowest to "
        "highest (band) of the trials of the configuration that represents an arm.",
    )


def _representatives(study: StudySpec, cells: Sequence[Cell]) -> dict[str, Sequence[Cell]]:
    return {arm: representative(study, [cell for cell in cells if cell.arm == arm]) for arm in study.arms}


def _several(study: StudySpec, cells: Sequence[Cell]) -> dict[str, Sequence[Cell]]:
    """What represents each arm; in place of a single search trial the arm's best ones, which show a spread."""
    found = _representatives(study, cells)
    for arm, own in found.items():
        if len(own) == 1 and own[0].phase == SEARCH:
            best = ranking(study.objective, [cell for cell in cells if cell.arm == arm])[:BEST]
            found[arm] = [cell for configuration in best for cell in configuration.cells]
    return found


def _whose(shown: Sequence[Cell]) -> str:
    if shown[0].phase == CONFIRM:
        return f"its best configuration, {count(len(shown), 'fresh seed')}"
    if all(cell.params == shown[0].params for cell in shown):
        return f"its best configuration, {count(len(shown), 'search trial')}"
    return f"its {len(shown)} best search trials"


def _runs(shown: Mapping[str, Sequence[Cell]], curves: Iterable[CurvePoint]) -> Runs:
    wanted = {cell.id for cells in shown.values() for cell in cells}
    by_cell: defaultdict[int, list[CurvePoint]] = defaultdict(list)
    for point in curves:
        if point.cell_id in wanted:
            by_cell[point.cell_id].append(point)
    runs = {arm: [by_cell[cell.id] for cell in cells if cell.id in by_cell] for arm, cells in shown.items()}
    return {arm: points for arm, points in runs.items() if points}


def _traces(
    study: StudySpec, runs: Runs, values: Mapping[str, Value], *, id: str, title: str, caption: str
) -> Figure | None:
    """One panel for each of `values`."""
    panels: list[Panel] = []
    series: list[Series] = []
    for label, value in values.items():
        own = [_spread(arm, len(panels), points, value) for arm, points in runs.items()]
        own = [one for one in own if one.x]
        if own:
            log = label != LEARNING_RATE and _all_positive(own) and _ratio(own) >= LOG_FROM
            panels.append(Panel(label, Axis(study.unit, whole=True), Axis(log=log)))
            series += own
    return Figure(id, title, caption, tuple(study.arms), tuple(panels), tuple(series)) if panels else None


def _spread(arm: str, panel: int, runs: Iterable[Iterable[CurvePoint]], value: Value) -> Series:
    """Mean, lowest and highest over the trials, epoch by epoch; a trial that has ended counts no more."""
    by_epoch: defaultdict[int, list[float]] = defaultdict(list)
    for points in runs:
        for point in points:
            if (measured := value(point)) is not None:
                by_epoch[point.at].append(measured)
    epochs = sorted(by_epoch)
    several = any(len(values) > 1 for values in by_epoch.values())
    return Series(
        arm,
        panel,
        "line",
        x=tuple(float(epoch) for epoch in epochs),
        y=tuple(fmean(by_epoch[epoch]) for epoch in epochs),
        low=tuple(min(by_epoch[epoch]) for epoch in epochs) if several else (),
        high=tuple(max(by_epoch[epoch]) for epoch in epochs) if several else (),
    )


def _names(runs: Runs, prefix: str) -> list[str]:
    """All names of what was traced so, in the order in which the arms bring them."""
    return list(dict.fromkeys(name for points in runs.values() for run in points for name in run[0].traced(prefix)))


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


def _values(series: Iterable[Series]) -> list[float]:
    return [value for one in series for value in (*one.y, *one.low, *one.high)]


def _all_positive(series: Iterable[Series]) -> bool:
    return min(_values(series), default=0.0) > 0


def _ratio(series: Iterable[Series]) -> float:
    values = _values(series)
    return max(values) / min(values)


def _risen(series: Sequence[Series]) -> tuple[float, float] | None:
    """The range from the lowest accuracy after the warm-up to the highest: where the arms can be told apart."""
    last = max((max(one.x, default=0.0) for one in series), default=0.0)
    late = [
        value
        for one in series
        for band in (one.y, one.low, one.high)
        for epoch, value in zip(one.x, band, strict=False)
        if epoch > WARM_UP * last
    ]
    if not late or min(late) == max(late):
        return None
    margin = 0.05 * (max(late) - min(late))
    return min(late) - margin, max(late) + margin

"""The verdict as a figure: what each arm reached under every seed, and how far it is from the baseline."""

from __future__ import annotations

from hpo.evidence.statistics import summarize
from hpo.report.figures.values import Axis, Figure, Panel, Series, arms_axis
from hpo.report.verdict.results import Report
from hpo.words.nouns import plural


def standing(report: Report) -> Figure | None:
    """The arms' results by seed or search with their intervals, beside the paired differences to the baseline."""
    metric = report.metric
    unit, times = metric.axis, metric.factor
    arms = tuple(arm.name for arm in report.arms)
    series: list[Series] = []
    for place, arm in enumerate(report.arms):
        values = [times * value for value in arm.values[metric.name].values()]
        if values:
            series.append(Series(arm.name, 0, "open points", tuple(values), (-place - 0.22,) * len(values)))
            all_seeds = summarize(values)
            series.append(_interval(arm.name, 0, place, all_seeds.mean, all_seeds.low, all_seeds.high))
        if arm.difference is not None:
            found = arm.difference
            ends = (times * end if end is not None else None for end in (found.low, found.high))
            series.append(_interval(arm.name, 1, place, times * found.difference, *ends))
    if not series:
        return None
    what = metric.words
    panels = [Panel(what.capitalize(), Axis(unit), arms_axis(arms))]
    if any(one.panel == 1 for one in series):
        unit = "points" if unit == "%" else unit
        panels.append(Panel(f"Difference to {report.baseline}", Axis(unit, zero=True), arms_axis(arms)))
    over = plural(report.compared_by)
    return Figure(
        id="standing",
        title="Where the arms stand",
        caption=f"Filled: mean {what} of the configuration that represents an arm, and its difference to "
        f"{report.baseline} paired by {report.compared_by}, with 95 % t intervals. Open: its {over}.",
        arms=arms,
        panels=tuple(panels),
        series=tuple(series),
    )


def _interval(arm: str, panel: int, place: int, mean: float, low: float | None, high: float | None) -> Series:
    y = (-float(place),)
    if low is None or high is None:
        return Series(arm, panel, "points", (mean,), y)
    return Series(arm, panel, "intervals", (mean,), y, (low,), (high,))

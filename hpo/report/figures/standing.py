"""The verdict as a figure: what each arm reached, and the differences that the study asks about.

They are those of its claims, each by the metric that it is about, or without claims those of the arms to the baseline.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from hpo.evidence.contrasts import minus
from hpo.evidence.statistics import Paired, Summary, summarize
from hpo.metric import Metric
from hpo.report.figures.values import Axis, Figure, Panel, Series, rows_axis
from hpo.report.verdict.results import ArmResult, ClaimResult, Report
from hpo.words.nouns import plural

BELOW = 0.22
"""Seeds are drawn so far below their interval; rows are 1 apart."""
LONGEST_NAME = 24
"""Characters that fit beside a row; a comparison that is longer goes by the number of its claim."""
AROUND = 3
"""What is above and below the rows of a panel is about as high as so many of them."""


def standing(report: Report) -> Figure | None:
    """The arms' results by seed or search with their intervals, beside the paired differences."""
    names = [arm.name for arm in report.arms]
    metric, by = report.metric, report.compared_by
    panels = [_panel(metric.words.capitalize(), Axis(metric.axis), names)]
    series = [one for place, arm in enumerate(report.arms) for one in _reached(arm, place, metric, by)]
    if report.claims:
        measured = [(n, claim) for n, claim in enumerate(report.claims, 1) if claim.difference]
        for about, along in dict.fromkeys((claim.metric, claim.along) for _, claim in measured):
            claims = [(n, claim) for n, claim in measured if (claim.metric, claim.along) == (about, along)]
            for place, (_, claim) in enumerate(claims):
                series += _claimed(claim, len(panels), place, by)
            title = f"Difference in {about.words}" + (f", slope along {along}" if along else "")
            panels.append(_panel(title, _differs(about), [_short(*each) for each in claims]))
    elif any(arm.difference for arm in report.arms):
        series += [one for place, arm in enumerate(report.arms) for one in _compared(arm, place, report)]
        panels.append(_panel(f"Difference to {report.baseline}", _differs(metric), names))
    if not series:
        return None
    asked = "the difference that each claim is about" if report.claims else f"its difference to {report.baseline}"
    chosen = "what an arm's searches chose" if by == "search" else "the configuration that represents an arm"
    margin = any(claim.matters for claim in report.claims)
    return Figure(
        id="standing",
        title="Where the arms stand",
        caption=f"Filled: mean {metric.words} of {chosen}, and {asked}, paired by {by}, with 95 % intervals. Open: "
        f"each of the {plural(by)}." + (" Shaded: where a difference would not matter." if margin else ""),
        arms=tuple(names),
        panels=tuple(panels),
        series=tuple(series),
    )


def _panel(title: str, x: Axis, rows: Sequence[str]) -> Panel:
    return Panel(title, x, rows_axis(rows), height=min(1.0, (len(rows) + AROUND) / 10))


def _differs(metric: Metric) -> Axis:
    return Axis("points" if metric.share else metric.axis, zero=True)


def _short(number: int, claim: ClaimResult) -> str:
    """The name of a claim's row."""
    return claim.compared if claim.is_plain and len(claim.compared) <= LONGEST_NAME else f"claim {number}"


def _reached(arm: ArmResult, place: int, metric: Metric, by: str) -> Iterator[Series]:
    values = arm.values[metric.name]
    if values:
        yield from _row(arm.name, 0, place, metric, by, values, summarize([*values.values()]))


def _claimed(claim: ClaimResult, panel: int, place: int, by: str) -> Iterator[Series]:
    if claim.difference is None:
        return
    arm, metric = claim.arms[0], claim.metric
    if claim.matters:
        low, high = (metric.factor * end for end in claim.matters)
        yield Series(arm, panel, "margin", ((low + high) / 2,), (-float(place),), (low,), (high,))
    yield from _row(arm, panel, place, metric, by, claim.by_unit, claim.difference)


def _compared(arm: ArmResult, place: int, report: Report) -> Iterator[Series]:
    if arm.difference is None:
        return
    metric = report.metric
    baseline = next(other for other in report.arms if other.name == arm.baseline)
    by_unit = minus(arm.values[metric.name], baseline.values[metric.name])
    yield from _row(arm.name, 1, place, metric, report.compared_by, by_unit, arm.difference)


def _row(
    arm: str, panel: int, place: int, metric: Metric, by: str, units: Mapping[int, float], found: Summary | Paired
) -> Iterator[Series]:
    """The mean with its interval, and below it every seed or search, which are called `by`."""
    times, y = metric.factor, -float(place)
    values = tuple(times * value for value in units.values())
    names = tuple(f"{by} {unit}" for unit in units)
    yield Series(arm, panel, "open points", values, (y - BELOW,) * len(units), names=names)
    mean = times * (found.mean if isinstance(found, Summary) else found.difference)
    if found.low is None or found.high is None:
        yield Series(arm, panel, "points", (mean,), (y,))
    else:
        yield Series(arm, panel, "intervals", (mean,), (y,), (times * found.low,), (times * found.high,))

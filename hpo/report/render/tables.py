"""The tables of a report, as texts that a terminal, Markdown or a page lays out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hpo.evidence.statistics import Summary
from hpo.metric import Metric
from hpo.report.numbers import NONE, change, ends, interval, mean, number, plus_minus, probability, signed
from hpo.report.verdict.across import Share
from hpo.report.verdict.results import ArmResult, Interval, PhaseResult, Report
from hpo.words.nouns import count, plural

Row = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A table: its first column is a name, the others hold numbers."""

    title: str
    note: str
    """How it is to be read."""
    columns: Row
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class ArmCell:
    """What the table of arms says of one arm under one head."""

    value: str
    more: str = ""
    """What belongs below or behind it, such as the width of an interval."""
    seeds: str = ""
    """The worst and the best seed, where there are several."""


def arm_cells(arm: ArmResult, report: Report) -> dict[str, ArmCell]:
    """A row of the table of arms, by its heads; each layout has its own order."""
    objective, unit = report.objective, f"{report.unit}s"
    again = f"+ {arm.confirm.epochs}" if arm.confirm.epochs else ""
    return {
        "arm": ArmCell(arm.name),
        "tried": ArmCell(str(arm.tried)),
        "search best": ArmCell(number(arm.search_best, objective)),
        "validation": _mean_cell(arm.validation, objective),
        "test": _mean_cell(arm.test, objective),
        "difference": _difference_cell(arm, report),
        _over(report): ArmCell(str(arm.validation.n if arm.validation else 0)),
        unit: ArmCell(str(arm.search.epochs), again),
    }


def _over(report: Report) -> str:
    """What means are over: `seeds`, or `searches`."""
    return plural(report.compared_by)


def _mean_cell(found: Summary | None, metric: Metric) -> ArmCell:
    seeds = f"{number(found.worst, metric)} to {number(found.best, metric)}" if found and found.n > 1 else ""
    return ArmCell(number(found.mean if found else None, metric), plus_minus(found, metric), seeds)


def _difference_cell(arm: ArmResult, report: Report) -> ArmCell:
    if arm.is_baseline:
        return ArmCell("baseline")
    if arm.difference is None:
        return ArmCell(NONE)
    return ArmCell(signed(arm.difference.difference, report.metric), interval(arm.difference, report.metric))


def details(arm: ArmResult, report: Report) -> str:
    """How an arm's trials ended, and what its configuration measured besides."""
    parts = [f"search {_ends_of_trials(arm.search)}"]
    if arm.confirm.cells > arm.confirm.open:
        parts.append(f"confirm {_ends_of_trials(arm.confirm)}")
    for metric, found in arm.also:
        if found:
            parts.append(f"{metric.words} {mean(found, metric)} ({count(found.n, report.compared_by)})")
    return "; ".join(parts)


def _ends_of_trials(phase: PhaseResult) -> str:
    counts = {
        "finished": phase.finished,
        "pruned": phase.pruned,
        "diverged": phase.diverged,
        "failed": phase.failed,
        "not done": phase.open,
    }
    return ", ".join(f"{n} {end}" for end, n in counts.items() if n) or "not begun"


def tables(report: Report) -> Iterator[Table]:
    """Those that have something to say, in the order in which they are read."""
    made = (over_settings, _seeds, _spread, _comparisons, _published, _selection, _efficiency)
    yield from (table for make in made if (table := make(report)).rows)


def _seeds(report: Report) -> Table:
    metric = report.metric
    rows = []
    for arm in report.arms:
        found = arm.reached(metric)
        if found:
            low, high = (number(value, metric) for value in (found.worst, found.best))
            row = (str(found.n), number(found.std, metric), low, high, ends(found, metric) or NONE)
            rows.append((arm.name, *row, _ends(arm.bootstrap, metric)))
    what = metric.words.capitalize()
    note = "95 % intervals: Student's t, and the bootstrap, of ten or more."
    columns = ("arm", "n", "std", "worst", "best", "t", "bootstrap")
    return Table(f"{what} over {_over(report)}", note, *_without_empty_columns(columns, rows))


def over_settings(report: Report) -> Table:
    """Each arm over all settings; without a row where the study has none."""
    rows = []
    for found in report.across:
        middle = found.interquartile_mean
        rows.append(
            (
                found.way,
                f"{found.better_in} of {found.settings}",
                change(found.difference, report.metric),
                f"{100 * found.better.value:.0f} % [{100 * found.better.low:.0f}, {100 * found.better.high:.0f}]",
                NONE if middle is None else _share(middle, report.metric),
            )
        )
    note = (
        f"Against {report.baseline}, paired by setting and {report.compared_by}. Better: one run is better than one "
        "of the baseline, in a setting drawn at random. Middle half: the interquartile mean of all differences."
    )
    columns = ("arm", "better in", "mean difference", "better", "middle half")
    return Table("Over all settings", note, *_without_empty_columns(columns, rows))


def _share(found: Share, metric: Metric) -> str:
    return f"{signed(found.value, metric)} [{signed(found.low, metric)}, {signed(found.high, metric)}]"


def _spread(report: Report) -> Table:
    rows = [
        (arm.name, number(arm.spread.seeds, report.metric), number(arm.spread.searches, report.metric))
        for arm in report.arms
        if arm.spread
    ]
    note = "Standard deviations: between the seeds of what a search chose; between searches, beyond what seeds explain."
    title = f"Where the spread of {report.metric.words} comes from"
    return Table(title, note, ("arm", "seeds", "searches"), tuple(rows))


def _comparisons(report: Report) -> Table:
    rows: list[Row] = []
    for arm in report.arms:
        found = arm.comparison
        if found and found.difference.n > 1:
            effect = NONE if found.effect is None else f"{found.effect:+z.2f}"
            p_values = (found.difference.p, found.p_corrected, found.wilcoxon)
            rows.append(
                (arm.name, effect, _signed_ends(found.bootstrap, report.metric), *(probability(p) for p in p_values))
            )
    note = "Effect: in standard deviations of the differences (Hedges)."
    columns: Row = ("arm", "effect", "bootstrap", "t test", "Holm", "Wilcoxon")
    if report.claims:
        note += " Not tested: the study's tests are those of its claims."
        columns, rows = columns[:3], [row[:3] for row in rows]
    else:
        note += (
            " p, two-sided: of the paired t test, corrected by Holm for "
            f"{count(len(report.arms) - 1, 'comparison')}; of Wilcoxon's signed-rank test, not corrected."
        )
    return Table(f"Differences to {report.baseline}", note, *_without_empty_columns(columns, rows))


def _without_empty_columns(columns: Row, rows: Sequence[Row]) -> tuple[Row, tuple[Row, ...]]:
    kept = [place for place in range(len(columns)) if place == 0 or any(row[place] != NONE for row in rows)]
    return tuple(columns[place] for place in kept), tuple(tuple(row[place] for place in kept) for row in rows)


def _published(report: Report) -> Table:
    rows = []
    for found in report.published:
        params = ", ".join(f"{path} = {json.dumps(value, ensure_ascii=False)}" for path, value in found.params.items())
        metric = found.metric
        measured = f"{mean(found.measured, metric)} (n = {found.measured.n})" if found.measured else found.missing
        if found.phase == "search":
            measured += ", search"
        rows.append(
            (
                f"{found.arm}{f' ({params})' if params else ''}, {metric.words}, {found.where}",
                number(found.printed, metric),
                measured,
                NONE if found.difference is None else signed(found.difference, metric),
                {True: "yes", False: "no", None: NONE}[found.contained],
            )
        )
    note = (
        "Inside: within the interval in which the mean of as many further runs as were printed, one if none is said, "
        "lies with a chance of 95 %."
    )
    return Table("Published", note, ("number", "printed", "measured", "difference", "inside"), tuple(rows))


def _selection(report: Report) -> Table:
    arms = [arm for arm in report.arms if arm.expected_best]
    most = max((arm.tried // max(len(arm.configurations), 1) for arm in arms), default=0)
    shown = sorted({4**power for power in range(most.bit_length()) if 4**power <= most} | {report.fewest})
    rows = []
    for arm in arms:
        by_n = {one.n: one for one in arm.expected_best}
        bests = (number(by_n[n].score if n in by_n else None, report.objective) for n in shown)
        rows.append((arm.name, f"{by_n[1].epochs:.1f}", *bests))
    return Table(
        "Expected search best of n trials",
        "The mean over all draws of n of an arm's trials; too high for small n where a sampler learns.",
        ("arm", f"{report.unit}s each", *(f"n={n}" for n in shown)),
        tuple(rows),
    )


def _efficiency(report: Report) -> Table:
    arms = [arm for arm in report.arms if arm.tried]
    audited = [arm for arm in arms if arm.efficiency.audit]
    units = f"{report.unit}s"
    note = (
        f"To baseline: until the best so far was {report.baseline}'s search best. Mean best: the area under the best "
        f"so far, over the {units} that every arm spent. Saved: by pruning."
    )
    if audited:
        note += " Wrongly pruned: would have won, of those run to their end; their share in percent."
    columns = ("arm", f"{units} to baseline", "seconds to baseline", "mean best", f"{units} saved", "wrongly pruned")
    shown = len(columns) if audited else len(columns) - 1
    which = "the first search" if report.compared_by == "search" else "the search"
    return Table(
        f"Efficiency of {which}", note, columns[:shown], tuple(_row(arm, report.objective)[:shown] for arm in arms)
    )


def _row(arm: ArmResult, metric: Metric) -> Row:
    found = arm.efficiency
    wrong = NONE
    if found.audit:
        low, high = round(100 * found.audit.low), round(100 * found.audit.high)
        wrong = f"{found.audit.won} of {found.audit.n} [{low}, {high}]"
    return (
        arm.name,
        str(found.reached.epochs) if found.reached else "never",
        f"{found.reached.seconds:.{0 if found.reached.seconds >= 10 else 2}f}" if found.reached else "never",
        number(found.area, metric),
        str(found.saved),
        wrong,
    )


def _ends(found: Interval | None, metric: Metric) -> str:
    return NONE if found is None else f"[{number(found[0], metric)}, {number(found[1], metric)}]"


def _signed_ends(found: Interval | None, metric: Metric) -> str:
    return NONE if found is None else f"[{signed(found[0], metric)}, {signed(found[1], metric)}]"

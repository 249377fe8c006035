"""What a referee would ask of a result: nothing that is wrong, but what weakens the answer."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean

from hpo.evidence.measured import chosen, rankings
from hpo.evidence.statistics import pooled_variance
from hpo.report.numbers import number
from hpo.search.space import Label, Range, Values
from hpo.storage.rows import Cell
from hpo.storage.states import CONFIRM, SEARCH
from hpo.study import StudySpec
from hpo.study import doubts as beforehand
from hpo.words.nouns import count

NEAR = 0.05
"""The share of a range, or of its logarithm, that is its edge."""
SLOWER = 1.25
"""Times that an epoch of one arm may take as long as one of another without a word."""
SHORTEST = 5.0
"""Seconds that an arm has to have trained for its pace to mean anything."""
SURE = 2.0
"""Standard deviations of the difference of two seeds within which two configurations are alike."""


def doubts(study: StudySpec, cells: Sequence[Cell], *, one_device: bool) -> Iterator[str]:
    """A line for each. `one_device`: all trials ran on the same kind of device."""
    yield from beforehand.doubts(study)
    by_arm = {arm: [cell for cell in cells if cell.arm == arm] for arm in study.arms}
    for arm, own in by_arm.items():
        yield from _edges(study, arm, own)
    yield from _luck(study, by_arm)
    if one_device:
        yield from _paces(study, cells)


def _edges(study: StudySpec, arm: str, cells: Sequence[Cell]) -> Iterator[str]:
    """What was chosen at the end of what was searched: a better one may lie beyond."""
    found = chosen(study, cells)
    for name, parameter in study.arms[arm].parameters.items():
        values = [own[0].params[name] for own in found.values() if own[0].params and name in own[0].params]
        for which, end in _ends(parameter.searched):
            at_end = [value for value in values if _is_at(value, end, parameter.searched)]
            if at_end and 2 * len(at_end) > len(values):
                of = f", in {len(at_end)} of {len(values)} searches" if len(values) > 1 else ""
                yield (
                    f"{arm}: the {name} that was chosen ({at_end[0]:.4g}{of}) is at the {which} end of what was "
                    "searched: there may be a better one beyond it"
                )


def _ends(searched: Range | Values) -> Iterator[tuple[str, float]]:
    """The ends of a range of numbers, or of a list of three or more; there is nothing below a strength of 0."""
    if isinstance(searched, Range):
        low, high = searched.low, searched.high
    else:
        numbers = [
            label for label in searched.labels() if isinstance(label, int | float) and not isinstance(label, bool)
        ]
        if len(numbers) < 3 or len(numbers) < len(searched.labels()):
            return
        low, high = min(numbers), max(numbers)
    if low != 0:
        yield "lower", low
    yield "upper", high


def _is_at(value: Label, end: float, searched: Range | Values) -> bool:
    if isinstance(value, bool | str):
        return False
    if isinstance(searched, Values):
        return value == end
    low, high, at = searched.low, searched.high, float(value)
    if searched.log:
        low, high, at, end = (math.log(one) for one in (low, high, at, end))
    return abs(at - end) <= NEAR * (high - low)


def _luck(study: StudySpec, by_arm: Mapping[str, Sequence[Cell]]) -> Iterator[str]:
    """Configurations that the noise of a seed does not tell from the best one: which was chosen is luck."""
    found = [part for arm, own in by_arm.items() for part in _alike(study, arm, own)]
    if found:
        of = "finished configurations" + ("" if study.protocol.searches == 1 else " of a search")
        yield (
            "luck had a part in which configuration was chosen: as near to the best as two seeds of one configuration "
            f"are to each other lie {', '.join(found)} {of}"
        )


def _alike(study: StudySpec, arm: str, cells: Sequence[Cell]) -> Iterator[str]:
    """How many of an arm's configurations are like the best, on average over its searches, where they are three or
    more."""
    metric, noise = study.objective, _noise(study, cells)
    if noise is None:
        return
    shares = []
    for ranked in rankings(study, cells).values():
        scores = [(one.score, len(one.cells)) for one in ranked if one.score is not None]
        if len(scores) > 2:
            width = SURE * noise * math.sqrt(2 / scores[0][1])
            shares.append((sum(abs(score - scores[0][0]) <= width for score, _ in scores), len(scores), width))
    if shares and fmean(alike for alike, _, _ in shares) >= 3:
        alike, of = (round(fmean(each[place] for each in shares)) for place in (0, 1))
        yield f"{alike} of {arm}'s {of} ({number(shares[0][2], metric)}{' points' if metric.share else ''})"


def _noise(study: StudySpec, cells: Sequence[Cell]) -> float | None:
    """The deviation of the objective between the seeds of one configuration, on validation."""
    metric = study.objective
    each = [
        [value for cell in own if cell.phase == CONFIRM and (value := cell.metrics.get(metric.name)) is not None]
        for own in chosen(study, cells).values()
    ]
    within = pooled_variance(each)
    return None if within is None else math.sqrt(within)


def _paces(study: StudySpec, cells: Sequence[Cell]) -> Iterator[str]:
    """Arms of which an epoch takes longer than one of another in the same setting: equal epochs are not equal time."""
    for setting in dict.fromkeys(spec.setting for spec in study.arms.values()):
        paces: dict[str, float] = {}
        for arm in [arm for arm, spec in study.arms.items() if spec.setting == setting]:
            searched = [cell for cell in cells if (cell.arm, cell.phase, cell.state) == (arm, SEARCH, "done")]
            seconds, epochs = sum(cell.seconds for cell in searched), sum(cell.epochs for cell in searched)
            if seconds >= SHORTEST and epochs:
                paces[arm] = seconds / epochs
        if len(paces) < 2:
            continue
        fast, slow = min(paces, key=paces.__getitem__), max(paces, key=paces.__getitem__)
        if (ratio := paces[slow] / paces[fast]) > SLOWER:
            yield (
                f"{count(1, study.unit)} of {slow} took {ratio:.2g} times as long as one of {fast}: arms that are "
                f"equal in {study.unit}s are not equal in time"
            )
